package main

import (
	"context"
	"fmt"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func newRunCommand(ext extension) *cobra.Command {
	var tcp, kcp, http, admin, data string
	cmd := &cobra.Command{
		Use:   "run [DIR] [-- ARGUMENT...]",
		Short: "Run a node: the project in DIR, or the demo world",
		Long: `Run a node with the project in DIR (skua.toml and scripts/), or with the demo world that is built in.
Everything that it needs is embedded. Once it serves it prints one line that begins with "ready" and names its addresses.
Arguments behind -- are handed to the first service. It stops on SIGINT and SIGTERM, after all players are saved.`,
		Args: positional(func(cmd *cobra.Command, args []string) error {
			n := len(args)
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				n = dash
			}
			if n > 1 {
				return fmt.Errorf("run takes one directory, got %q", args[:n])
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, rest := "", args
			if dash := cmd.ArgsLenAtDash(); dash != 0 && len(args) > 0 {
				dir, rest = args[0], args[1:]
			}
			set := func(flag, value string, key *string) {
				if cmd.Flags().Changed(flag) {
					*key = value
				}
			}
			p, err := openProject(dir, ext, func(c *Config) {
				set("listen-tcp", tcp, &c.Listen.TCP)
				set("listen-kcp", kcp, &c.Listen.KCP)
				set("listen-http", http, &c.Listen.HTTP)
				set("admin", admin, &c.Listen.Admin)
				if abs, err := filepath.Abs(data); err == nil && cmd.Flags().Changed("data") {
					c.Data = abs // a flag's path begins where the user is, a key's where the project is
				}
			})
			if err != nil {
				return &usageError{err}
			}
			log, err := newLog(cmd.ErrOrStderr(), p.cfg.Log)
			if err != nil {
				return &usageError{err}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			// A second signal ends the process at once.
			context.AfterFunc(ctx, stop)
			n := &node{project: p, args: rest, log: log, ready: func(line string) { fmt.Fprintln(cmd.OutOrStdout(), line) }}
			return n.Serve(ctx)
		},
	}
	f := cmd.Flags()
	f.StringVar(&tcp, "listen-tcp", "", `address for TCP clients, "off" for none (key listen.tcp)`)
	f.StringVar(&kcp, "listen-kcp", "", `address for KCP clients, "off" for none (key listen.kcp)`)
	f.StringVar(&http, "listen-http", "", `address for pages and WebSocket clients, "off" for none (key listen.http)`)
	f.StringVar(&admin, "admin", "", `address for metrics, health and profiles, "off" for none (key listen.admin)`)
	f.StringVar(&data, "data", "", "directory of the embedded database and NATS server (key data)")
	return cmd
}
