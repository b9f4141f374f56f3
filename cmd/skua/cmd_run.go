package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/reload"
)

func newRunCommand(ext extension) *cobra.Command {
	var f runFlags
	var watch bool
	cmd := &cobra.Command{
		Use:   "run [DIR] [-- ARGUMENT...]",
		Short: "Run a node: the project in DIR, or the demo world",
		Long: `Run a node with the project in DIR (skua.toml and scripts/), or with the demo world that is built in.
Everything that it needs is embedded. Once it serves it prints one line that begins with "ready" and names its addresses.
Arguments behind -- are handed to the first service. It stops on SIGINT and SIGTERM, after all players are saved, or have gone on to other nodes.

With --join it is one more node of the cluster of another one, whose listen.cluster is the address. Both need the same cluster.secret (SKUA_CLUSTER_SECRET) where that other node has one.`,
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
			if watch && dir == "" {
				return &usageError{errors.New("--watch needs the directory of a project, as in `skua run --watch .`: the demo in the binary does not change")}
			}
			p, err := openProject(dir, ext, func(c *Config) { f.apply(cmd, c) })
			if err != nil {
				return &usageError{err}
			}
			if _, err := lua.Scripts(p.scripts); errors.Is(err, fs.ErrNotExist) {
				return &usageError{fmt.Errorf("%s has no scripts: none of the directories of lua.path (%s) is there; is it the directory of a project?", cmp.Or(dir, "."), strings.Join(p.cfg.Lua.Path, ", "))}
			}
			log, err := newLog(cmd.ErrOrStderr(), p.cfg.Log)
			if err != nil {
				return &usageError{err}
			}
			if _, err := os.Stat(configFile); dir == "" && err == nil {
				log.Warn("this is the demo world, and not the project in this folder: `skua run .` runs that")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			// A second signal ends the process at once.
			context.AfterFunc(ctx, stop)
			defer log.close()
			return serveNode(ctx, log.Logger, func(instead *reload.BootError) *node {
				return &node{
					project: p, args: rest, log: log.Logger, levels: log.levels, instead: instead, watching: watch,
					ready: func(line string) { fmt.Fprintln(cmd.OutOrStdout(), line) },
				}
			})
		},
	}
	f.define(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "reload scripts whenever one is saved, for development")
	return cmd
}

// serveNode runs a node. One that can't begin with the version that ran last is made anew with the last one that a node has begun with.
func serveNode(ctx context.Context, log *slog.Logger, made func(instead *reload.BootError) *node) error {
	err := made(nil).Serve(ctx)
	var failed *reload.BootError
	if !errors.As(err, &failed) || ctx.Err() != nil {
		return err
	}
	log.Error("the node can't begin with the current version of the scripts, and tries an older one", "version", failed.Version, "older", failed.Fallback, "error", failed.Err)
	return made(failed).Serve(ctx)
}

// runFlags are keys of the configuration that are set on the command line.
type runFlags struct {
	name, tcp, kcp, http, admin, cluster, data string
	join                                       []string
}

func (f *runFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.tcp, "listen-tcp", "", `address for TCP clients, "off" for none (key listen.tcp)`)
	flags.StringVar(&f.kcp, "listen-kcp", "", `address for KCP clients, "off" for none (key listen.kcp)`)
	flags.StringVar(&f.http, "listen-http", "", `address for pages and WebSocket clients, "off" for none (key listen.http)`)
	flags.StringVar(&f.admin, "admin", "", `address for metrics, health and profiles, "off" for none (key listen.admin)`)
	flags.StringVar(&f.cluster, "listen-cluster", "", `address at which other nodes join this one, "off" for none (key listen.cluster)`)
	flags.StringSliceVar(&f.join, "join", nil, "address of a node to join, or of several (key cluster.join)")
	flags.StringVar(&f.name, "name", "", "name of the node in its cluster (key name); with --join it is made of the project's and the machine's, unless it is given here or by SKUA_NAME")
	flags.StringVar(&f.data, "data", "", "directory of the embedded database and NATS server (key data)")
}

// apply puts the flags that were given over the configuration.
func (f *runFlags) apply(cmd *cobra.Command, c *Config) {
	given := cmd.Flags().Changed
	set := func(flag, value string, key *string) {
		if given(flag) {
			*key = value
		}
	}
	set("listen-tcp", f.tcp, &c.Listen.TCP)
	set("listen-kcp", f.kcp, &c.Listen.KCP)
	set("listen-http", f.http, &c.Listen.HTTP)
	set("admin", f.admin, &c.Listen.Admin)
	set("listen-cluster", f.cluster, &c.Listen.Cluster)
	set("name", f.name, &c.Name)
	if abs, err := filepath.Abs(f.data); err == nil && given("data") {
		c.Data = abs // a flag's path begins where the user is, a key's where the project is
	}
	if !given("join") {
		return
	}
	c.Cluster.Join = f.join
	if host, err := os.Hostname(); err == nil && !given("name") && os.Getenv("SKUA_NAME") == "" {
		c.Name = joinedName(c.Name, host)
	}
}
