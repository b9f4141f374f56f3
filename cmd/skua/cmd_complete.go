package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/reload"
)

// completeTimeout is how long a shell waits for names. A node that does not answer by then, or at all, has none to offer.
const completeTimeout = time.Second

// offer is what a shell may complete: what is typed, each with what it is.
type offer func(l *look, ctx context.Context, c *adminClient) [][2]string

// completes has a shell complete the first argument. Those behind it may be files.
func (l *look) completes(of offer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return l.offered(cmd, of, begun)
	}
}

// completesFlag has a shell complete the value of a flag.
func (l *look) completesFlag(name string, of offer) {
	// The error is for a flag that is not there, or has a completion already.
	_ = l.cmd.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return l.offered(cmd, of, begun)
	})
}

// oneOf has a shell complete the value of a flag that is one of some.
func oneOf(cmd *cobra.Command, flag string, values ...cobra.Completion) {
	// The error is for a flag that is not there, or has a completion already.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func (l *look) offered(cmd *cobra.Command, of offer, begun string) ([]string, cobra.ShellCompDirective) {
	c, err := l.at.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	var fit []string
	for _, one := range of(l, ctx, c) {
		if strings.HasPrefix(one[0], begun) {
			fit = append(fit, cobra.CompletionWithDesc(one[0], one[1]))
		}
	}
	return fit, cobra.ShellCompDirectiveNoFileComp
}

// actors are those with a name, and the scripts that one actor runs.
func (l *look) actors(ctx context.Context, c *adminClient) (all [][2]string) {
	if l.node == everyNode {
		return nil
	}
	limit := strconv.Itoa(admin.MaxPage)
	named, err := askNodes[admin.ActorPage](ctx, l, c, http.MethodGet, "/services", url.Values{"limit": {limit}}, nil)
	if err != nil {
		return nil
	}
	for i := range named[0].Answer.Actors {
		a := &named[0].Answer.Actors[i]
		all = append(all, [2]string{a.Name, a.Kind})
	}
	scripts, err := askNodes[admin.ActorPage](ctx, l, c, http.MethodGet, "/actors", url.Values{"limit": {limit}, "prefix": {lua.KindPrefix}}, nil)
	if err != nil || scripts[0].Answer.Next != "" { // of more than a page it is not known which one is the only one
		return all
	}
	run := map[string]int{}
	for i := range scripts[0].Answer.Actors {
		run[scripts[0].Answer.Actors[i].Kind]++
	}
	for kind, n := range run {
		if n == 1 {
			all = append(all, [2]string{strings.TrimPrefix(kind, lua.KindPrefix), kind})
		}
	}
	return all
}

// nodes are those of the cluster.
func (*look) nodes(ctx context.Context, c *adminClient) (all [][2]string) {
	var found []admin.Node
	if err := c.ask(ctx, http.MethodGet, "/nodes", nil, nil, &found); err != nil {
		return nil
	}
	for i := range found {
		all = append(all, [2]string{found[i].Name, found[i].State})
	}
	return append(all, [2]string{everyNode, "each of them"})
}

// sessions are the clients of the node.
func (l *look) sessions(ctx context.Context, c *adminClient) (all [][2]string) {
	if l.node == everyNode {
		return nil
	}
	found, err := askNodes[admin.SessionPage](ctx, l, c, http.MethodGet, "/sessions", url.Values{"limit": {strconv.Itoa(admin.MaxPage)}}, nil)
	if err != nil {
		return nil
	}
	for i := range found[0].Answer.Sessions {
		s := &found[0].Answer.Sessions[i]
		all = append(all, [2]string{strconv.FormatUint(s.ID, 10), s.UID})
	}
	return all
}

// versions are those that can be gone back to.
func (*look) versions(ctx context.Context, c *adminClient) (all [][2]string) {
	var v reload.Versions
	if err := c.ask(ctx, http.MethodGet, "/versions", nil, nil, &v); err != nil {
		return nil
	}
	labels := map[string]string{}
	for i := range v.History {
		if e := &v.History[i]; labels[e.ID] == "" {
			labels[e.ID] = e.Label
		}
	}
	for _, id := range v.Kept {
		all = append(all, [2]string{id, labels[id]})
	}
	return all
}
