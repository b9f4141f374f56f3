package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// loginRoute is the request by which clients log in.
const loginRoute = "login"

// LoginAnswer is what a login is answered by.
type LoginAnswer struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
	New  bool   `json:"new"` // this login has made the account
	// Token lets the same player in again until Expires, in Unix seconds, with nothing else; empty where there are none, and after a login by one.
	Token   string `json:"token"`
	Expires int64  `json:"expires"`
}

// Until is when Token ends; zero if there is none.
func (a LoginAnswer) Until() time.Time {
	if a.Token == "" {
		return time.Time{}
	}
	return time.Unix(a.Expires, 0)
}

// Login logs in: with the token of this client's last login if there has been one, which the server takes for the same player; else, and when it does not take the token any more, with
// credentials, which are what Request takes, or a func(context.Context) (any, error) that is called only now, to ask the player for a password for example.
//
// Errors are as of Client.Request, and that function's.
func (s *Session) Login(ctx context.Context, credentials any) (LoginAnswer, error) {
	if ticket := s.c.loggedIn(); ticket != "" {
		answer, err := s.enter(ctx, ticketBody(ticket))
		if !stale(err) {
			return answer, err
		}
		s.c.forgetLogin(ticket)
	}
	if ask, ok := credentials.(func(context.Context) (any, error)); ok {
		var err error
		if credentials, err = ask(ctx); err != nil {
			return LoginAnswer{}, fmt.Errorf("client: login: %w", err)
		}
	}
	return s.enter(ctx, credentials)
}

func (s *Session) enter(ctx context.Context, body any) (LoginAnswer, error) {
	var answer LoginAnswer
	err := s.Request(ctx, loginRoute, body, &answer)
	return answer, err
}

func ticketBody(ticket string) any {
	return struct {
		Token string `json:"token"`
	}{ticket}
}

// again is Options.Login of a program that has none.
func again(ctx context.Context, s *Session) error {
	ticket := s.c.loggedIn()
	_, err := s.enter(ctx, ticketBody(ticket))
	if stale(err) {
		s.c.forgetLogin(ticket)
	}
	return err
}

// stale tells whether a login has failed because its token is not good any more, or not here.
func stale(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && slices.Contains([]string{"bad_token", "expired", "revoked", "bad_request", "denied"}, refused.Code)
}

// admitted notes what a login was answered by, if it is for us to read.
func (c *Client) admitted(body []byte) {
	var answer LoginAnswer
	if json.Unmarshal(body, &answer) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer.Token != "" || answer.UID != c.holder { // a login by token is answered by no new one
		c.ticket, c.holder = answer.Token, answer.UID
	}
}

// loggedIn is the token of the last login.
func (c *Client) loggedIn() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ticket
}

func (c *Client) forgetLogin(ticket string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ticket == ticket {
		c.ticket, c.holder = "", ""
	}
}

// renews tells whether the client can log a new session in by itself; c.mu is held.
func (c *Client) renews() bool { return c.opts.Login != nil || c.ticket != "" && !c.opts.NoRelogin }

// joins tells whether the session is one that the client has to log in.
func (c *Client) joins() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready != nil
}
