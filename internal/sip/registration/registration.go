package registration

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"phonesocket/internal/sip/account"
	"phonesocket/internal/sip/digest"
	"phonesocket/internal/sip/resolve"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

const (
	// stopPatience bounds the un-REGISTER at the end.
	stopPatience = 2 * time.Second
	// lookupPatience bounds one question to DNS with all that follows from it.
	lookupPatience = 5 * time.Second
)

// Transport is the part of transport.Transport that a registration needs.
type Transport interface {
	// Local returns the address of ours towards a target.
	Local(to transport.Target) netip.AddrPort
	// KeepAlive switches keep-alives to a target.
	KeepAlive(to transport.Target, on bool)
}

// Config is what a Registration needs; all fields without a remark are mandatory.
type Config struct {
	Account   account.Account
	Layer     *transaction.Layer
	Transport Transport
	Resolver  *resolve.Resolver
	Digest    *digest.Client
	Logger    *slog.Logger
	// UserAgent goes into the header of that name; empty writes none.
	UserAgent string
	// OnChange hears of each change of state or cause, on the SIP loop; it must not block. Nil is allowed.
	OnChange func(Status)
	// Rand is used on the SIP loop only, for jitter; nil means a random seed.
	Rand *rand.Rand
	// TimeNow is the clock; nil means time.Now. Only differences decide, so steps of the wall clock do no harm.
	TimeNow func() time.Time
}

// Registration keeps one account registered. Make it with New, drive it with Run.
type Registration struct {
	cfg     Config
	acc     account.Account
	err     error              // why the account cannot be used
	lookups chan resolve.Query // questions of the loop to Run
	seen    atomic.Pointer[view]

	machine // owned by the SIP loop
}

// view is what other goroutines see, replaced as a whole.
type view struct {
	status Status
	path   Path
	err    error        // why there is no path
	peers  []netip.Addr // of the server, as DNS gave them last
}

// New returns a registration; nothing is sent before Run. An account that cannot
// be used is reported by Run and by Status.
func New(cfg Config) *Registration {
	acc, err := cfg.Account.Check()
	if err != nil {
		acc = cfg.Account
	}
	if cfg.TimeNow == nil {
		cfg.TimeNow = time.Now
	}
	if cfg.OnChange == nil {
		cfg.OnChange = func(Status) {}
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // Jitter is no secret.
	}
	r := &Registration{cfg: cfg, acc: acc, err: err, lookups: make(chan resolve.Query, 1)}
	r.machine = newMachine(acc)
	status := Status{Account: acc.Name, State: StateRegistering, Since: cfg.TimeNow()}
	if err != nil {
		status.State, status.Cause, status.Reason, status.Advice = StateFailed, CauseSettings, err.Error(), "correct the SIP settings and start again"
	}
	r.seen.Store(&view{status: status, err: fmt.Errorf("%w: not registered yet", ErrNoPath)})
	return r
}

// Run registers and keeps registered until ctx ends, then removes the binding,
// for which it takes 2 s at most; the SIP loop and the transport must go on for
// so long. It returns an error only when the account cannot be used at all.
func (r *Registration) Run(ctx context.Context) error {
	if r.err != nil {
		return r.err
	}
	r.cfg.Layer.Do(r.start)
	for {
		select {
		case <-ctx.Done():
			r.shutdown()
			return nil
		case q := <-r.lookups:
			targets, err := r.lookup(ctx, q)
			r.cfg.Layer.Do(func() { r.resolved(targets, err) })
		}
	}
}

// lookup asks DNS; it runs on the goroutine of Run.
func (r *Registration) lookup(ctx context.Context, q resolve.Query) ([]resolve.Target, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupPatience)
	defer cancel()
	return r.cfg.Resolver.Resolve(ctx, r.cfg.TimeNow(), q)
}

// shutdown waits until the loop has given up the lease, or for stopPatience.
func (r *Registration) shutdown() {
	done := make(chan struct{})
	r.cfg.Layer.Do(func() { r.stop(func() { close(done) }) })
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		r.cfg.Layer.Do(r.giveUp)
	}
}

// Broken takes the news of the transport that a connection died. Any goroutine.
func (r *Registration) Broken(to transport.Target, err error) {
	r.cfg.Layer.Do(func() { r.broken(to, err) })
}

// Path returns how requests leave for the provider now. The error wraps
// [ErrNoPath] and says what is missing. Any goroutine.
func (r *Registration) Path() (Path, error) {
	v := r.seen.Load()
	if v.err != nil {
		return Path{}, v.err
	}
	p := v.path
	p.Contact = *p.Contact.Clone()
	p.Route = r.acc.Routes()
	return p, nil
}

// Trusts reports whether an address is one of those that the account's server
// resolves to: nobody else has a reason to send us requests. Any goroutine.
func (r *Registration) Trusts(addr netip.Addr) bool {
	return slices.Contains(r.seen.Load().peers, addr.Unmap())
}

// Status returns the state as it is now. Any goroutine.
func (r *Registration) Status() Status { return r.seen.Load().status }
