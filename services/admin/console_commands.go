package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// Bounds of the commands that ask all services.
const (
	maxAskedScripts = 1000
	askedAtOnce     = 64
)

// consoleRun is one command of the console.
type consoleRun struct {
	s    *Server
	ctx  context.Context //nolint:containedctx // of the command
	who  Identity
	from string
	line string
	args []string
	out  strings.Builder
}

// command is what the console can do.
type command struct {
	takes, does string
	least       int // arguments
	run         func(r *consoleRun) error
}

// commands are those of Skynet's debug console, by their names. Those that make no sense here say what does.
func commands() map[string]command {
	all := map[string]command{
		"help":     {"", "This list", 0, (*consoleRun).help},
		"list":     {"", "List all services of scripts", 0, (*consoleRun).list},
		"service":  {"", "List the services that have a name", 0, (*consoleRun).service},
		"stat":     {"", "What each service has done, and what waits in it", 0, func(r *consoleRun) error { return r.each("STAT") }},
		"mem":      {"", "Memory of each service's VM in KB", 0, func(r *consoleRun) error { return r.each("MEM") }},
		"gc":       {"", "As mem: garbage is collected without being asked", 0, func(r *consoleRun) error { return r.each("GC") }},
		"info":     {"ADDRESS [ARGUMENT...]", "What the service tells of itself (skynet.info_func)", 1, func(r *consoleRun) error { return r.debug("INFO") }},
		"task":     {"ADDRESS", "What each handler waits for", 1, func(r *consoleRun) error { return r.debug("TASK") }},
		"uniqtask": {"ADDRESS", "As task, stacks that are the same once", 1, func(r *consoleRun) error { return r.debug("UNIQTASK") }},
		"killtask": {"ADDRESS THREAD", "Stop a handler that waits, by a part of its name as task shows it", 2, func(r *consoleRun) error { return r.debug("KILLTASK") }},
		"start":    {"SCRIPT [ARGUMENT...]", "Start a service", 1, func(r *consoleRun) error { return r.launch(false) }},
		"snax":     {"SCRIPT [ARGUMENT...]", "Start a snax service", 1, func(r *consoleRun) error { return r.launch(true) }},
		"exit":     {"ADDRESS", "Have a service end itself (skynet.exit)", 1, func(r *consoleRun) error { return r.debug("EXIT") }},
		"kill":     {"ADDRESS", "End a service", 1, (*consoleRun).kill},
		"signal":   {"ADDRESS", "Have the handler that runs raise an error", 1, (*consoleRun).signal},
		"call":     {"ADDRESS ARGUMENT, ...", "Ask a service, as skynet.call does; arguments as Lua writes them", 2, (*consoleRun).call},
		"inject":   {"ADDRESS FILE [ARGUMENT...]", "Run a file of the node's machine inside of a service; the role admin is needed", 2, (*consoleRun).inject},
		"ping":     {"ADDRESS", "How long a service takes to answer, in 1/100 s", 1, (*consoleRun).ping},
		"trace":    {"ADDRESS [PROTOCOL] [on|off]", "Trace the requests of a protocol that come to a service", 1, (*consoleRun).trace},
		"netstat":  {"", "Clients with what went over their connections", 0, (*consoleRun).netstat},
		"dbgcmd": {"ADDRESS COMMAND [ARGUMENT...]", "A command of the debug protocol, such as one of skynet.debug.reg_debugcmd", 2, func(r *consoleRun) error {
			cmd := r.args[1]
			r.args = slices.Delete(r.args, 1, 2)
			return r.debug(cmd)
		}},
	}
	for name, instead := range map[string]string{
		"clearcache": "scripts are part of a version: skua reload takes changed ones", "log": "start SCRIPT, then skua tail shows its messages",
		"logon": "skua tail ADDRESS shows the messages of a service", "logoff": "skua tail ends when nobody looks", "debug": "there is no debugger; task ADDRESS shows stacks",
		"cmem": "there is no memory of C; mem shows that of each VM", "jmem": "memory is Go's: GET /debug/pprof/heap of listen.admin", "profactive": "GET /debug/pprof/heap of listen.admin is always there",
		"dumpheap": "GET /debug/pprof/heap of listen.admin", "getenv": "skynet.getenv in a script; GET /api/v1/config shows the configuration", "setenv": "skynet.setenv in a script",
		"shrtbl": "there is no table of short strings",
	} {
		all[name] = command{"", "Does not apply here: " + instead, 0, func(*consoleRun) error { return errors.New(name + " does not apply here: " + instead) }}
	}
	return all
}

func (r *consoleRun) help() error {
	all := commands()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := all[name]
		r.printf("%s\t%s\n", strings.TrimSpace(name+" "+c.takes), c.does)
	}
	return nil
}

func (r *consoleRun) printf(format string, args ...any) { fmt.Fprintf(&r.out, format, args...) }

// ask does a request of the API, as whoever has typed the command: it checks, and audits.
func (r *consoleRun) ask(method, path string, body, into any) error {
	path, query, _ := strings.Cut(path, "?")
	p := &Passed{Method: method, Path: path, Query: query, Who: r.who.Name, Role: r.who.Role.String(), From: r.from}
	if body != nil {
		var err error
		if p.Body, err = json.Marshal(body); err != nil {
			return err
		}
	}
	a := r.s.Answer(r.ctx, "console", p)
	if a.Status == http.StatusOK {
		return json.Unmarshal(a.Body, into)
	}
	var known CallError
	if err := json.Unmarshal(a.Body, &known); err != nil {
		return err
	}
	return &known
}

// target is the service that the first argument means, as the API has it: Skynet writes names with a dot and addresses with a colon.
func (r *consoleRun) target(of string) string {
	return "/actors/" + url.PathEscape(strings.TrimLeft(r.args[0], ".:")) + of
}

func address(ref actor.Ref) string { return fmt.Sprintf(":%08x", ref.ID()) }

// scripts are the services of scripts, by their ids.
func (r *consoleRun) scripts() []actor.Info {
	var all []actor.Info
	for i := range r.s.API.System.Actors() {
		if strings.HasPrefix(i.Kind, lua.KindPrefix) {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b actor.Info) int { return int(a.Ref.ID()) - int(b.Ref.ID()) })
	if more := len(all) - maxAskedScripts; more > 0 {
		r.printf("%d services, of which the first %d are listed\n", len(all), maxAskedScripts)
		all = all[:maxAskedScripts]
	}
	return all
}

func (r *consoleRun) list() error {
	for _, i := range r.scripts() {
		r.printf("%s\tsnlua %s\n", address(i.Ref), strings.TrimPrefix(i.Kind, lua.KindPrefix))
	}
	return nil
}

func (r *consoleRun) service() error {
	var p ActorPage
	if err := r.ask(http.MethodGet, "/services", nil, &p); err != nil {
		return err
	}
	for i := range p.Actors {
		r.printf("%s\t:%08s\n", p.Actors[i].Name, p.Actors[i].ID)
	}
	return nil
}

// each asks all services the same. Who does not answer in time is TIMEOUT, as in Skynet.
func (r *consoleRun) each(cmd string) error {
	all := r.scripts()
	rows := make([]string, len(all))
	var asked sync.WaitGroup
	places := make(chan struct{}, askedAtOnce)
	for i := range all {
		asked.Go(func() {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
			case <-r.ctx.Done():
			}
			answer, err := r.s.debug(r.ctx, all[i].Ref, value.Of(cmd))
			if err != nil {
				rows[i] = "ERROR " + err.Error()
				if callError(err).Code == codeBusy {
					rows[i] = "TIMEOUT"
				}
				return
			}
			rows[i] = shown(answer.At(0))
			if kb, ok := answer.At(0).Float(); ok {
				rows[i] = fmt.Sprintf("%.2f Kb (%s)", kb, strings.TrimPrefix(all[i].Kind, lua.KindPrefix))
			}
		})
	}
	asked.Wait()
	for i := range all {
		r.printf("%s\t%s\n", address(all[i].Ref), rows[i])
	}
	return nil
}

// shown is a value on one line: the fields of a table as Skynet's console has them.
func shown(v value.Value) string {
	if v.Kind() != value.Table {
		if text, ok := v.Str(); ok {
			return text
		}
		return textOf(v.List(), maxAnswer)
	}
	var fields []string
	for k, e := range v.Pairs {
		fields = append(fields, k.KeyText()+":"+textOf(e.List(), maxText))
	}
	slices.Sort(fields)
	return strings.Join(fields, "\t")
}

// debug has the service of the first argument do a command of the debug protocol, with the others.
func (r *consoleRun) debug(cmd string) error {
	args := append(make([]any, 0, len(r.args)), cmd)
	for _, a := range r.args[1:] {
		args = append(args, word(a))
	}
	info, err := r.s.script(strings.TrimLeft(r.args[0], ".:"))
	if err != nil {
		return err
	}
	answer, err := r.s.debug(r.ctx, info.Ref, value.Of(args...))
	r.audit(cmd, err)
	if cmd == "EXIT" && errors.Is(err, actor.ErrStopped) {
		return nil // it has ended before it could answer
	}
	if err != nil {
		return r.s.blame(info.Ref, err)
	}
	for i := range answer.Len() {
		r.dump(answer.At(i))
	}
	return nil
}

// looks are commands of the debug protocol that change nothing.
func looks(cmd string) bool {
	return slices.Contains([]string{"TASK", "UNIQTASK", "INFO", "MEM", "STAT", "PING", "GC"}, cmd)
}

// audit notes what was done that no route of the API has done.
func (r *consoleRun) audit(cmd string, err error) {
	if looks(cmd) {
		return
	}
	e := Entry{
		Node: r.s.Version.Node, Who: r.who.Name, Role: r.who.Role.String(), From: r.from + " by console", Action: "debug " + clip(cmd), Target: clip(r.args[0]), Detail: clip(r.line), Outcome: Done,
	}
	if err != nil {
		e.Outcome, e.Error = Failed, clip(err.Error())
	}
	r.s.record(e)
}

// word is an argument as it is meant: a number if it looks like one.
func word(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	return text
}

// dump writes an answer: a table line by line, by its keys.
func (r *consoleRun) dump(v value.Value) {
	if v.Kind() != value.Table {
		r.printf("%s\n", shown(v))
		return
	}
	var lines []string
	for i, e := range v.Items {
		lines = append(lines, fmt.Sprintf("%d\t%s", i, shown(e)))
	}
	for k, e := range v.Pairs {
		lines = append(lines, k.KeyText()+"\t"+shown(e))
	}
	slices.Sort(lines)
	for _, line := range lines {
		r.printf("%s\n", line)
	}
}

func (r *consoleRun) launch(snax bool) error {
	body := Launch{Script: r.args[0], Snax: snax}
	for _, a := range r.args[1:] {
		text, err := json.Marshal(a)
		if err != nil {
			return err
		}
		body.Args = append(body.Args, text)
	}
	var done Launched
	if err := r.ask(http.MethodPost, "/services", body, &done); err != nil {
		return err
	}
	r.printf(":%08s\t%s\n", done.ID, strings.Join(r.args, " "))
	return nil
}

func (r *consoleRun) kill() error {
	var done Killed
	if err := r.ask(http.MethodPost, r.target("/kill"), Reason{Reason: "killed by the console"}, &done); err != nil {
		return err
	}
	if !done.Ended {
		r.printf("it is to end after the message that it handles: %s\n", done.Busy)
	}
	return nil
}

func (r *consoleRun) signal() error {
	var done map[string]any
	err := r.ask(http.MethodPost, r.target("/signal"), struct{}{}, &done)
	if err != nil && callError(err).Code == codeNotFound && strings.Contains(err.Error(), "no such route") {
		return errors.New("signal does not apply here: this node interrupts no handlers")
	}
	return err
}

func (r *consoleRun) call() error {
	_, rest, _ := strings.Cut(strings.TrimSpace(r.line), " ")
	_, text, _ := strings.Cut(strings.TrimSpace(rest), " ")
	var answer CallAnswer
	if err := r.ask(http.MethodPost, r.target("/call"), Call{Lua: text}, &answer); err != nil {
		return err
	}
	r.printf("%s\n", answer.Text)
	return nil
}

// inject runs a file in a service.
func (r *consoleRun) inject() error {
	if r.who.Role < Admin { // the file is read with the node's rights
		return lacksRole(r.who, Admin)
	}
	f, err := os.Open(r.args[1])
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBody))
	if err != nil {
		return err
	}
	body := Injection{Source: string(text), Name: r.args[1]}
	for _, a := range r.args[2:] {
		raw, err := json.Marshal(word(a))
		if err != nil {
			return err
		}
		body.Args = append(body.Args, raw)
	}
	var done Injected
	if err := r.ask(http.MethodPost, r.target("/inject"), body, &done); err != nil {
		return err
	}
	r.printf("%s\n", done.Output)
	return nil
}

func (r *consoleRun) ping() error {
	begun := time.Now()
	if err := r.debug("PING"); err != nil {
		return err
	}
	r.out.Reset()
	r.printf("%.2f\n", time.Since(begun).Seconds()*100)
	return nil
}

func (r *consoleRun) trace() error {
	info, err := r.s.script(strings.TrimLeft(r.args[0], ".:"))
	if err != nil {
		return err
	}
	args := []any{"TRACELOG", "lua"}
	for _, a := range r.args[1:] {
		switch a {
		case "on", "off":
			args = append(args[:2:2], a == "on")
		default:
			args[1] = a
		}
	}
	if len(args) == 2 {
		args = append(args, true)
	}
	_, err = r.s.debug(r.ctx, info.Ref, value.Of(args...))
	r.audit("TRACELOG", err)
	return err
}

func (r *consoleRun) netstat() error {
	var p SessionPage
	if err := r.ask(http.MethodGet, "/sessions?limit="+strconv.Itoa(MaxPage), nil, &p); err != nil {
		return err
	}
	for i := range p.Sessions {
		one := &p.Sessions[i]
		r.printf("%d\tpeer:%s\tprotocol:%s\tread:%d\twbuffer:%d\twrite:%d\tstate:%s\n", one.ID, one.Address, one.Transport, one.BytesIn, one.Backlog, one.BytesOut, one.State)
	}
	return nil
}
