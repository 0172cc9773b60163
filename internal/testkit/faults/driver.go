package faults

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

const (
	// patience is how long a client repeats one step, or waits for one code, before
	// it says that it is lost. A message that a killed server had under way is sent
	// again when its lease is over, after 30 seconds; what could not be delivered
	// for longer waits for longer.
	patience = 3 * time.Minute
	// replyWithin is how long a client waits for one reply: longer than the server
	// waits for a database that falls silent, which is 12 seconds after two idle
	// connections that did not wake within two seconds each.
	replyWithin = 30 * time.Second
)

// driver runs clients that recover one account after another.
type driver struct {
	Record
	origins  func() []string // where requests may go now
	mailbox  *Mailbox
	accounts int
	next     atomic.Int64
	stopping chan struct{} // closed when no client begins another recovery
	http     *http.Client
	running  sync.WaitGroup
}

func newDriver(origins func() []string, mailbox *Mailbox, accounts int) *driver {
	return &driver{
		origins: origins, mailbox: mailbox, accounts: accounts, stopping: make(chan struct{}),
		http: &http.Client{Timeout: replyWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}},
	}
}

// begin starts so many clients; what each does is drawn from the seed.
func (d *driver) begin(ctx context.Context, clients int, seed uint64) {
	for i := range clients {
		c := &client{driver: d, draw: mathrand.New(mathrand.NewPCG(seed, uint64(i)))}
		d.running.Go(func() {
			for ctx.Err() == nil {
				select {
				case <-d.stopping:
					return
				default:
				}
				n := int(d.next.Add(1)) - 1
				if n >= d.accounts {
					return
				}
				c.recover(ctx, n)
			}
		})
	}
}

// end lets clients finish what they are at, and takes what they abandoned up
// again: a code that was sent works.
func (d *driver) end(ctx context.Context) {
	close(d.stopping)
	d.running.Wait()
	c := &client{driver: d, draw: mathrand.New(mathrand.NewPCG(0, 0))}
	for _, r := range d.Recoveries {
		if r.Known && !r.Broken && !r.Overdue && !r.Answered && len(r.Challenges) > 0 {
			c.r = r
			c.goOn(ctx)
		}
	}
}

// client is one claimant after another.
type client struct {
	*driver
	draw *mathrand.Rand
	r    *Recovery
}

// recover is one recovery. Some claimants mistype their address, some ask for the
// code twice, some leave when the code was asked for and come back at the end.
func (c *client) recover(ctx context.Context, n int) {
	c.r = &Recovery{Account: n, Known: c.draw.IntN(10) > 0, openKey: rand.Text()}
	defer c.add(c.r)
	if !c.open(ctx) {
		return
	}
	if !c.start(ctx) || !c.r.Known {
		return
	}
	if c.draw.IntN(6) == 0 && (c.mailed(ctx) == nil || !c.start(ctx)) {
		return
	}
	if c.draw.IntN(8) > 0 {
		c.goOn(ctx)
	}
}

// identifier is what the claimant types.
func (r *Recovery) identifier() string {
	if r.Known {
		return rig.Address(r.Account)
	}
	return fmt.Sprintf("nobody%d@mail.example.cn", r.Account)
}

type body map[string]any

func (c *client) open(ctx context.Context) bool {
	r := c.r
	in := body{"intent": "reset-password", "identifier": r.identifier()}
	var out, again struct{ Case, Token, Ref string }
	if !c.step(ctx, "/v1/"+rig.Realm+"/cases", r.openKey, in, &out) {
		return false
	}
	r.id, r.token, r.Ref, r.State = out.Case, out.Token, out.Ref, "open"
	if c.draw.IntN(4) == 0 { // as a client does that did not get the first reply
		token := r.token
		r.token = "" // it is asked as before
		ok := c.step(ctx, "/v1/"+rig.Realm+"/cases", r.openKey, in, &again)
		r.token = token
		if ok && again != out {
			r.wrong("the same opening gave case %s, and then case %s", out.Ref, again.Ref)
		}
		return ok
	}
	return true
}

// shown is what a claimant sees of a case.
type shown struct {
	State     string
	Challenge struct{ ID string }
}

func (c *client) start(ctx context.Context) bool {
	var out shown
	if !c.step(ctx, c.path("challenges"), rand.Text(), body{"way": "email", "channel": "email-code"}, &out) {
		return false
	}
	if out.Challenge.ID == "" {
		c.r.wrong("a challenge was acknowledged, and the case does not show it")
		c.r.Broken = true
		return false
	}
	c.r.Challenges = append(c.r.Challenges, out.Challenge.ID)
	return true
}

func (c *client) path(rest string) string { return "/v1/cases/" + c.r.id + "/" + rest }

// mailed waits for the messages of the challenges so far.
func (c *client) mailed(ctx context.Context) []rig.Letter {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	mailed, err := c.mailbox.codes(waiting, rig.Address(c.r.Account), len(c.r.Challenges))
	if err != nil {
		c.r.Broken = true // the checker finds that one is missing
		return nil
	}
	return mailed
}

// goOn takes the codes from the mail and the case to its end.
func (c *client) goOn(ctx context.Context) {
	r, mailed := c.r, c.mailed(ctx)
	if mailed == nil {
		return
	}
	last := len(r.Challenges) - 1
	code := mailed[last].Code()
	for i, id := range r.Challenges[:last] {
		if mailed[i].Code() != code {
			c.refused(ctx, "a code that another replaced", "challenges/"+id+"/answer", body{"answer": body{"code": mailed[i].Code()}})
		}
	}
	answer := "challenges/" + r.Challenges[last] + "/answer"
	var out shown
	if !c.step(ctx, c.path(answer), rand.Text(), body{"answer": body{"code": code}}, &out) {
		return
	}
	r.Answered, r.State = true, out.State
	if c.draw.IntN(3) == 0 {
		c.refused(ctx, "a code that was used", answer, body{"answer": body{"code": code}})
	}
	r.Secret = "Harbour-" + rand.Text()[:14] + "-7"
	if !c.step(ctx, c.path("outcome"), rand.Text(), body{"secret": r.Secret}, &out) {
		return
	}
	r.Completed, r.State = true, out.State
	if c.draw.IntN(3) == 0 {
		c.refused(ctx, "a second outcome", "outcome", body{"secret": "Another-" + rand.Text()[:14] + "-8"})
	}
}

// step sends a request until its end is known. False says that it was given up.
func (c *client) step(ctx context.Context, path, key string, in body, out any) bool {
	status, answer := c.untilKnown(ctx, path, key, in)
	switch {
	case status == 0:
		c.r.Broken = true
		if ctx.Err() == nil {
			c.r.wrong("%s had no end after %s: %s", lastPart(path), patience, answer)
		}
		return false
	case status >= 300:
		c.r.Broken = true
		c.r.wrong("%s, which should work, got %d %s", lastPart(path), status, answer)
		return false
	}
	if err := json.Unmarshal(answer, out); err != nil {
		c.r.Broken = true
		c.r.wrong("%s got an answer that is not whole: %v", lastPart(path), err)
		return false
	}
	c.count(&c.Acknowledged)
	return true
}

// refused sends what must not work.
func (c *client) refused(ctx context.Context, what, path string, in body) {
	if status, _ := c.untilKnown(ctx, c.path(path), rand.Text(), in); status > 0 && status < 300 {
		c.r.wrong("%s worked: %d", what, status)
	}
}

// untilKnown sends a request, to any node, until one answers with other than 5xx:
// what got no answer may have happened, and the same key makes it happen once.
// Status 0 says that none did in time; answer is then what came last.
func (c *client) untilKnown(ctx context.Context, path, key string, in body) (status int, answer []byte) {
	deadline := time.Now().Add(patience)
	wait := 10 * time.Millisecond
	for {
		status, answer, err := c.send(ctx, path, key, in)
		switch {
		case err != nil:
			c.count(&c.Unknown)
			answer = []byte(err.Error())
		case status == http.StatusServiceUnavailable:
			c.count(&c.Refused)
		case status >= 500:
			c.r.wrong("%s got %d, which is no clean refusal: %s", lastPart(path), status, answer)
		default:
			return status, answer
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return 0, answer
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(wait*2, 500*time.Millisecond)
	}
}

// send sends it once.
func (c *client) send(ctx context.Context, path, key string, in body) (int, []byte, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return 0, nil, err
	}
	origins := c.origins()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, origins[c.draw.IntN(len(origins))]+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept-Language": "en", "X-Forwarded-For": rig.Network(c.r.Account), "Idempotency-Key": key,
	} {
		request.Header.Set(name, value)
	}
	if c.r.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.r.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
		c.r.wrong("%s got 503 without Retry-After: %s", lastPart(path), answer)
	}
	return response.StatusCode, answer, err
}

// lastPart names a request without what is secret in its path.
func lastPart(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}
