package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wanbi/wanbi/internal/bench/rig"
)

// Steps of one recovery, in their order. "mail" is the wait for the code.
var steps = []string{"open", "start", "mail", "answer", "outcome"}

// mailWithin is how long the driver waits for one code.
const mailWithin = 30 * time.Second

var errNoCode = fmt.Errorf("no code came within %s", mailWithin)

// driver sends recoveries.
type driver struct {
	origin   string
	client   *http.Client
	sink     *sink
	accounts int
	next     atomic.Int64 // the account of the next recovery
	requests atomic.Int64 // of tellApart
}

func newDriver(origin string, mail *sink, accounts int) *driver {
	return &driver{
		origin: origin, sink: mail, accounts: accounts,
		client: &http.Client{
			Timeout:   time.Minute,
			Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true},
		},
	}
}

// sample is one recovery: how long each step took, and the whole.
type sample struct {
	steps [5]time.Duration
	whole time.Duration
	err   error
}

// warmUp fills pools and caches before anything is measured.
func (d *driver) warmUp(ctx context.Context) error {
	for _, s := range d.run(ctx, 8, time.Second) {
		if s.err != nil {
			return fmt.Errorf("warming up: %w", s.err)
		}
	}
	return ctx.Err()
}

// run sends recoveries from so many clients, one after another each.
func (d *driver) run(ctx context.Context, clients int, during time.Duration) []sample {
	until := time.Now().Add(during)
	each := make([][]sample, clients)
	var running sync.WaitGroup
	for i := range each {
		running.Go(func() {
			for time.Now().Before(until) && ctx.Err() == nil {
				n := int(d.next.Add(1)) - 1
				if n >= d.accounts {
					each[i] = append(each[i], sample{err: fmt.Errorf("all %d accounts are used up: bring in more", d.accounts)})
					return
				}
				each[i] = append(each[i], d.recover(ctx, n))
			}
		})
	}
	running.Wait()
	var all []sample
	for _, some := range each {
		all = append(all, some...)
	}
	return all
}

// recover is one recovery of the numbered account, from the first request to the
// new password.
func (d *driver) recover(ctx context.Context, n int) (s sample) {
	to := rig.Address(n)
	codes := d.sink.expect(to)
	defer d.sink.forget(to)
	began := time.Now()
	last := began
	done := func(step int) {
		now := time.Now()
		s.steps[step], s.whole, last = now.Sub(last), now.Sub(began), now
	}
	c := &claimant{driver: d, ctx: ctx, network: rig.Network(n)}
	if s.err = c.open(to); s.err != nil {
		return s
	}
	done(0)
	if s.err = c.start(); s.err != nil {
		return s
	}
	done(1)
	var code string
	select {
	case code = <-codes:
	case <-ctx.Done():
		s.err = ctx.Err()
		return s
	case <-time.After(mailWithin):
		s.err = errNoCode
		return s
	}
	done(2)
	if s.err = c.post("/v1/cases/"+c.id+"/challenges/"+c.challenge+"/answer", body{"answer": body{"code": code}}, nil); s.err != nil {
		return s
	}
	done(3)
	s.err = c.post("/v1/cases/"+c.id+"/outcome", body{"secret": "Harbour-" + rand.Text()[:14] + "-7"}, nil)
	done(4)
	return s
}

// strangers is where the networks of tellApart begin, past those of accounts.
const strangers = 12 << 20

type body map[string]any

// claimant is one client in its case.
type claimant struct {
	*driver
	ctx                           context.Context
	network, id, token, challenge string
}

func (c *claimant) open(identifier string) error {
	var opened struct{ Case, Token string }
	err := c.post("/v1/"+rig.Realm+"/cases", body{"intent": "reset-password", "identifier": identifier}, &opened)
	c.id, c.token = opened.Case, opened.Token
	return err
}

func (c *claimant) start() error {
	var shown struct{ Challenge struct{ ID string } }
	err := c.post("/v1/cases/"+c.id+"/challenges", body{"way": "email", "channel": "email-code"}, &shown)
	c.challenge = shown.Challenge.ID
	return err
}

// post sends one request and reads its answer to the end.
func (c *claimant) post(path string, in body, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.origin+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept-Language", "en")
	request.Header.Set("X-Forwarded-For", c.network)
	if c.token == "" {
		request.Header.Set("Idempotency-Key", rand.Text())
	} else {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		var problem struct{ Code string }
		_ = json.Unmarshal(answer, &problem)
		return fmt.Errorf("%s answered %d %s", stepOf(path), response.StatusCode, problem.Code)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// stepOf names a request without what is secret in its path.
func stepOf(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

// tellApart times requests about known and unknown identifiers in an order that is
// drawn, and says how well the times tell them apart: 0.5 is not at all. The order
// is drawn over all of them: what one leaves to be done slows the next one, and in
// pairs the next one would mostly be of the other sort.
func (d *driver) tellApart(ctx context.Context, pairs int) (Told, error) {
	order := make([]bool, 2*pairs)
	for i := range pairs {
		order[i] = true
	}
	mathrand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	times := map[bool][2][]float64{}
	for n, known := range order {
		identifier := fmt.Sprintf("nobody%d@mail.example.cn", n)
		if known {
			account := int(d.next.Add(1)) - 1
			if account >= d.accounts {
				return Told{}, fmt.Errorf("all %d accounts are used up: bring in more", d.accounts)
			}
			identifier = rig.Address(account)
		}
		c := &claimant{driver: d, ctx: ctx, network: rig.Network(strangers + int(d.requests.Add(1)))}
		began := time.Now()
		if err := c.open(identifier); err != nil {
			return Told{}, err
		}
		opened := time.Now()
		if err := c.start(); err != nil {
			return Told{}, err
		}
		t := times[known]
		t[0] = append(t[0], float64(opened.Sub(began)))
		t[1] = append(t[1], float64(time.Since(opened)))
		times[known] = t
	}
	return Told{Pairs: pairs, Open: auc(times[true][0], times[false][0]), Start: auc(times[true][1], times[false][1])}, nil
}
