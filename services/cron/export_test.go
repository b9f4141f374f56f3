package cron

import "time"

// Times is the timetable of an expression in a zone: what is due behind a moment.
func Times(expr string, zone *time.Location) (next func(after time.Time) time.Time, err error) {
	days, everyHour, failed := parse(expr)
	if failed != nil {
		return nil, failed
	}
	return (&timetable{days: days, everyHour: everyHour, zone: zone}).next, nil
}
