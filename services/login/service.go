package login

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/store"
)

// Service is the actor that decides who gets in. Accounts are documents of kind "account" whose id is the name, folded so that names which differ only in case,
// width or composition of letters are one (RFC 8265, UsernameCaseMapped); those of devices are of kind "device". Bans, revoked tokens and the maintenance are
// documents of kind "login", which are read at the start and whenever another node may have changed them; a login by token asks the memory only.
type Service struct {
	cfg     Config
	ways    map[Method]way
	hasher  hasher
	decoy   string // checked in place of an account that does not exist, so that the time tells nothing
	guesses guesses
	newbies newcomers
	inside  int                 // passwords that are not answered yet
	turns   map[string][]func() // by id: those behind the login that is being checked
	tokens  keyring
	book    book
	upkeep  upkeep
	jwt     verifier
	hook    hook
	turn    uint64 // rises with what is published, also through a restart
}

// way is how to find out who has sent a request. It calls done once, at once or later.
type way func(c *actor.Context, m Request, done func(Account, error))

// Spec is how to spawn the login service, behind the store and, for a hook, behind the launcher.
func Spec(cfg Config) actor.Spec {
	cfg.defaults()
	return actor.Spec{Name: ServiceName, New: func() actor.Actor { return newService(cfg) }}
}

func newService(cfg Config) *Service {
	s := &Service{
		cfg: cfg,
		hasher: hasher{
			limit:  cfg.Hashing,
			params: argon2id.Params{Memory: cfg.Memory, Iterations: cfg.Passes, Parallelism: 1, SaltLength: 16, KeyLength: 32},
		},
		guesses: guesses{limit: cfg.MaxAttempts, wait: cfg.Wait, failed: map[origin]*failures{}},
		newbies: newcomers{limit: cfg.NewPerAddress},
		turns:   map[string][]func(){},
		turn:    uint64(time.Now().UnixNano()),
		tokens:  newKeyring(cfg.TokenKeys, cfg.Lifetime),
		book:    newBook(cfg),
		upkeep:  upkeep{cfg: cfg},
		jwt:     newVerifier(cfg.JWT, cfg.Queue, cfg.Now, cfg.Metrics),
		hook:    hook{script: cfg.Hook, timeout: cfg.HookTimeout, limit: cfg.Queue},
	}
	s.book.out, s.upkeep.out = s.out, s.out
	s.ways = map[Method]way{
		MethodPassword: s.password, MethodJWT: s.jwt.login, MethodHook: s.hook.login, MethodDevice: s.device, MethodGuest: guest, MethodNone: nobody,
		MethodToken: s.token,
	}
	return s
}

// Start makes the decoy and begins to read what is to be known before anybody gets in.
func (s *Service) Start(c *actor.Context) error {
	hash, err := argon2id.CreateHash("nobody has this password", &s.hasher.params)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	s.decoy = hash
	s.book.start(c)
	s.upkeep.start(c)
	if slices.Contains(s.cfg.Methods, MethodJWT) {
		s.jwt.start(c)
	}
	return nil
}

// Stop forgets the logins that wait: they are answered by the end of the service. Those that are being checked are still answered.
func (s *Service) Stop(c *actor.Context, _ error) {
	s.hasher.close()
	clear(s.turns)
	s.book.stop(c)
}

// Receive takes a Request, the commands of operators, and their names from scripts.
func (s *Service) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Request:
		s.whenKnown(c, func() { s.request(c, m) })
	case Ban:
		s.ban(c, m)
	case Unban:
		s.unban(c, m)
	case Revoke:
		s.revoke(c, m)
	case Maintain:
		s.upkeep.set(c, m)
	case Issue:
		c.Reply(s.issue(m))
	case Link:
		s.link(c, m)
	case lua.Message:
		s.script(c, m)
	case store.Lost: // the commit that found it out says so, too
	default:
		c.Reply(nil, fmt.Errorf("login: %T is no message of the login service", msg))
	}
}

var (
	errNotReady = &Error{Unavailable, "bans can't be looked up now; try again"}
	errRequest  = &Error{BadRequest, "a login is a table with the fields of one of the ways that this server has"}
)

// maxEarly bounds those who come before the bans are read.
const maxEarly = 10_000

// whenKnown runs f at once, or when bans and maintenance are known: nobody gets in before, since nobody knows who may. While the database can't be reached
// nobody waits for it.
func (s *Service) whenKnown(c *actor.Context, f func()) {
	switch {
	case s.book.known() && s.upkeep.known:
		f()
	case s.book.failed || s.upkeep.failed || len(s.book.early)+len(s.upkeep.early) >= maxEarly:
		c.Reply(nil, errNotReady)
	case !s.book.known():
		s.book.early = append(s.book.early, c.Resume(func() { s.whenKnown(c, f) }))
	default:
		s.upkeep.early = append(s.upkeep.early, c.Resume(func() { s.whenKnown(c, f) }))
	}
}

// request finds out who it is, and then whether that one may.
func (s *Service) request(c *actor.Context, m Request) {
	method := m.Method
	switch _, again := m.Body.Get("token").Str(); {
	case method == "":
		method = s.choose(m.Body)
	case method == MethodGuest && again && s.tokens.on(): // guests get tokens, too
		method = MethodToken
	}
	done := func(acc Account, err error) {
		if err == nil {
			acc, err = s.admit(method, acc)
		}
		s.cfg.Metrics.attempt(method, err)
		if err != nil {
			c.Reply(nil, err)
			return
		}
		c.Reply(acc, nil)
	}
	find := s.ways[method]
	switch {
	case find == nil:
		done(Account{}, errRequest)
	case s.upkeep.shut(s.cfg.Now()) && len(s.upkeep.except) == 0:
		done(Account{}, s.upkeep.refusal())
	default:
		find(c, m, done)
	}
}

// choose tells which way a body is meant for: the one that it names, or the first that it has the fields of. "" if there is none.
func (s *Service) choose(body value.Value) Method {
	has := func(field string) bool { _, ok := body.Get(field).Str(); return ok }
	may := func(m Method) bool { return slices.Contains(s.cfg.Methods, m) || m == MethodToken && s.tokens.on() }
	if named, ok := body.Get("method").Str(); ok {
		if m := Method(named); may(m) {
			return m
		}
		return ""
	}
	for _, way := range []struct {
		method Method
		fits   bool
	}{
		{MethodToken, has("token")},
		{MethodJWT, has("jwt")},
		{MethodDevice, has("device")},
		{MethodPassword, has("password")},
		{MethodHook, body.Kind() == value.Table},
		{MethodGuest, has("name")},
		{MethodNone, true},
		{MethodPassword, true}, // says what it needs
	} {
		if way.fits && may(way.method) {
			return way.method
		}
	}
	return ""
}

// admit lets somebody in who is known, unless maintenance or a ban is against it, and gives the token for the next time.
func (s *Service) admit(method Method, acc Account) (Account, error) {
	now := s.cfg.Now()
	if s.upkeep.shut(now) && !s.upkeep.excepts(acc.UID) {
		return Account{}, s.upkeep.refusal()
	}
	if ban := s.book.ban(acc.UID, now); ban != nil {
		return Account{}, ban.refusal()
	}
	acc.Turn = s.turn
	if method != MethodToken && method != MethodNone && s.tokens.on() {
		t := s.book.fresh(acc.UID, now)
		acc.Token, acc.Expires = s.tokens.sign(acc.UID, acc.Name, t, t.Add(s.cfg.Lifetime))
	}
	return acc, nil
}

// out tells gates who has to go.
func (s *Service) out(c *actor.Context, m Out) {
	s.turn++
	m.Turn = s.turn
	c.Publish(Topic, m)
}

// guest lets in whoever comes under the name given.
func guest(_ *actor.Context, m Request, done func(Account, error)) {
	raw, ok := m.Body.Get("name").Str()
	if !ok {
		done(Account{}, &Error{BadRequest, `a login needs "name", a string`})
		return
	}
	id, name, err := checkName(raw)
	if err != nil {
		done(Account{}, err)
		return
	}
	done(Account{UID: "guest:" + id, Name: name}, nil)
}

func nobody(_ *actor.Context, _ Request, done func(Account, error)) {
	done(Account{UID: NewUID()}, nil)
}

// token lets in who has got a token of ours. Nothing but the memory is asked.
func (s *Service) token(_ *actor.Context, m Request, done func(Account, error)) {
	text, ok := m.Body.Get("token").Str()
	if !ok {
		done(Account{}, &Error{BadRequest, `a login by token needs "token", a string`})
		return
	}
	t, err := s.check(text)
	if err != nil {
		done(Account{}, err)
		return
	}
	done(Account{UID: t.UID, Name: t.Name}, nil)
}

// check tells what a token says that is good now.
func (s *Service) check(text string) (token, error) {
	t, err := s.tokens.open(text, s.cfg.Now())
	if err != nil {
		return token{}, err
	}
	if s.book.revoked(t) {
		return token{}, &Error{Revoked, "the token was taken back; log in again"}
	}
	return t, nil
}

// checkUID tells whether somebody else's name for a player can be a uid.
func checkUID(uid string) error {
	if err := store.CheckName("player", uid); err != nil {
		return fmt.Errorf("login: a uid: %w", err)
	}
	if len(uid) > maxUID {
		return errLongUID
	}
	return nil
}

// maxUID is in bytes.
const maxUID = 128

var errLongUID = errors.New("login: a uid has 1 to 128 bytes")
