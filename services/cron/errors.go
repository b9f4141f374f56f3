package cron

import "fmt"

// Code tells why something was refused.
type Code string

// The reasons.
const (
	BadName   Code = "bad_name"   // the name of the job can't be one
	BadExpr   Code = "bad_expr"   // the expression can't be read; Field tells where
	NeverDue  Code = "never_due"  // the expression can be read and has no day in the calendar, such as 30 February
	BadZone   Code = "bad_zone"   // there is no such time zone
	BadTarget Code = "bad_target" // nobody, or two, to send to
	NameTaken Code = "name_taken" // the target has a job of this name
	TooMany   Code = "too_many"   // there are Config.MaxJobs jobs
	NoJob     Code = "no_job"     // there is no such job
)

// Error is a refusal. Two of one Code match in errors.Is.
type Error struct {
	Code  Code
	Job   string // its name
	Field string // of a BadExpr: "second", "minute", "hour", "day of month", "month" or "day of week"; empty if it is the expression as a whole
	Msg   string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("cron: job %q: ", e.Job)
	if e.Field != "" {
		text += e.Field + " "
	}
	return text + e.Msg
}

// Is makes errors.Is match by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}
