package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

func newTaskCommand(l *look) *cobra.Command {
	return &cobra.Command{
		Use: "task ACTOR", Short: "Show what each handler of a script waits for", Args: positional(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			return show(l, http.MethodGet, actorPath(args[0], "/tasks"), nil, nil, func(w io.Writer, t *admin.Tasks) error {
				writeStuck(w, &t.Stuck)
				if len(t.Handlers) == 0 && t.Busy == "" {
					_, err := fmt.Fprintln(w, "no handler waits")
					return err
				}
				return writeWaiting(w, t.Handlers)
			})
		},
	}
}

// jsonArguments are arguments of a service that are given as JSON, one each.
func jsonArguments(given []string) ([]json.RawMessage, error) {
	args := make([]json.RawMessage, 0, len(given))
	for _, text := range given {
		if !json.Valid([]byte(text)) {
			return nil, &usageError{fmt.Errorf("an argument: found %q, expected JSON such as '\"buy\"', 5 or '{\"id\":7}'", text)}
		}
		args = append(args, json.RawMessage(text))
	}
	return args, nil
}

func newCallCommand(l *look) *cobra.Command {
	var withJSON bool
	var kind string
	cmd := &cobra.Command{
		Use: "call ACTOR ARGUMENT...", Short: "Ask a service of a script, as skynet.call does, and show what it answers", Args: positional(cobra.MinimumNArgs(1)),
		Long: `Ask a service of a script, as skynet.call does, and show what it answers. Each argument is a constant or a table of constants as Lua writes them, so strings have quotes,
or JSON with --with-json. A first argument that is a name only is a string: skua call shop buy 7 '{kind = "sword"}'.`,
		RunE: func(_ *cobra.Command, args []string) error {
			body := admin.Call{Type: kind}
			var err error
			if withJSON {
				body.Args, err = jsonArguments(args[1:])
			} else {
				body.Lua = luaArguments(args[1:])
			}
			if err != nil {
				return err
			}
			return show(l, http.MethodPost, actorPath(args[0], "/call"), nil, body, func(w io.Writer, a *admin.CallAnswer) error {
				writeLines(w, a.Text)
				_, err := fmt.Fprintf(l.cmd.ErrOrStderr(), "answered in %v\n", micros(a.Micros))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&withJSON, "with-json", false, "the arguments are JSON")
	cmd.Flags().StringVar(&kind, "type", "", "protocol of the message: lua (the default), text, client or debug")
	return cmd
}

// luaArguments joins arguments as Lua writes them. The first is mostly a command, which needs no quotes.
func luaArguments(args []string) string {
	all := make([]string, len(args))
	for i, a := range args {
		if all[i] = a; i == 0 && isCommandName(a) {
			all[i] = `"` + a + `"`
		}
	}
	return strings.Join(all, ", ")
}

// isCommandName tells whether a text is a name as commands of services have, and no constant of Lua.
func isCommandName(text string) bool {
	for i, r := range text {
		if r != '_' && r != '.' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return text != "" && text != "nil" && text != "true" && text != "false"
}

// writeLines writes a text without what could steer the terminal.
func writeLines(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintln(w, dash(strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    ")))
	}
}

func newStartCommand(l *look) *cobra.Command {
	var snax bool
	cmd := &cobra.Command{
		Use: "start SCRIPT ARGUMENT...", Short: "Start a service of a script, as skynet.newservice does", Args: positional(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			body := admin.Launch{Script: args[0], Lua: strings.Join(args[1:], ", "), Snax: snax}
			return show(l, http.MethodPost, "/services", nil, body, func(w io.Writer, a *admin.Launched) error {
				_, err := fmt.Fprintln(w, a.ID)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&snax, "snax", false, "it is a snax service")
	return cmd
}

// maxInjected bounds code that is run in a service, so that the request is one that the API takes.
const maxInjected = 48 << 10

func newInjectCommand(l *look) *cobra.Command {
	return &cobra.Command{
		Use: "inject ACTOR FILE ARGUMENT...", Short: "Run a script inside of a service, as the command inject of Skynet's console does", Args: positional(cobra.MinimumNArgs(2)),
		Long: "Run a script inside of a service, as the command inject of Skynet's console does: it finds the variables of the service's handlers in _U, and those of each protocol in _P. FILE - is the standard input. Arguments are JSON. The role admin is needed.",
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[1] != "-" {
				f, err := os.Open(args[1])
				if err != nil {
					return &usageError{err}
				}
				defer f.Close()
				in = f
			}
			text, err := io.ReadAll(io.LimitReader(in, maxInjected+1))
			if err != nil {
				return err
			}
			if len(text) > maxInjected {
				return &usageError{fmt.Errorf("%s: expected up to %d bytes", args[1], maxInjected)}
			}
			body := admin.Injection{Source: string(text), Name: args[1]}
			if body.Args, err = jsonArguments(args[2:]); err != nil {
				return err
			}
			return show(l, http.MethodPost, actorPath(args[0], "/inject"), nil, body, func(w io.Writer, a *admin.Injected) error {
				writeLines(w, a.Output)
				return nil
			})
		},
	}
}

func newGrainsCommand(l *look) *cobra.Command {
	var p pageFlags
	cmd := &cobra.Command{
		Use: "grains [KIND]", Short: "List the grains of a node", Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			v, err := p.values()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				v.Set("kind", args[0])
			}
			return show(l, http.MethodGet, "/grains", v, nil, func(w io.Writer, p *admin.GrainPage) error {
				err := table(w, "KIND\tID\tACTOR\tSTATE\tEPOCH", func(t io.Writer) {
					for _, g := range p.Grains {
						fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\n", g.Kind, dash(g.ID), g.Actor, g.State, g.Epoch)
					}
				})
				return errors.Join(err, writeMore(w, &p.Paged))
			})
		},
	}
	p.define(cmd)
	return cmd
}

// newPagedCommand lists something that has no filter.
func newPagedCommand[T any](l *look, use, short, path string, write func(w io.Writer, page *T) error) *cobra.Command {
	var p pageFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Args: positional(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v, err := p.values()
			if err != nil {
				return err
			}
			return show(l, http.MethodGet, path, v, nil, write)
		},
	}
	p.define(cmd)
	return cmd
}

func newNamesCommand(l *look) *cobra.Command {
	return newPagedCommand(l, "names", "List the names by which services are found in the cluster, and who has them", "/names", func(w io.Writer, p *admin.NamePage) error {
		err := table(w, "NAME\tNODE\tACTOR\tWEIGHT\tMETA", func(t io.Writer) {
			for _, n := range p.Names {
				for _, in := range n.Instances {
					fmt.Fprintf(t, "%s\t%s\t%s\t%g\t%s\n", dash(n.Name), in.Node, in.Actor, in.Weight, dash(in.Meta))
				}
			}
		})
		return errors.Join(err, writeMore(w, &p.Paged))
	})
}

func newLeasesCommand(l *look) *cobra.Command {
	return newPagedCommand(l, "leases", "List the locks, leases and singletons of the cluster, and who holds them", "/leases", func(w io.Writer, p *admin.LeasePage) error {
		err := table(w, "KEY\tNODE\tEPOCH\tSINCE", func(t io.Writer) {
			for _, one := range p.Leases {
				fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", dash(one.Key), one.Node, one.Epoch, one.Since.Format(time.RFC3339))
			}
		})
		return errors.Join(err, writeMore(w, &p.Paged))
	})
}
