package faults

import (
	"fmt"
	"sync"
)

// Recovery is what one client saw of one recovery. What it did not see, such as a
// step whose reply was lost, is not in it: the checker holds the server to what
// was acknowledged.
type Recovery struct {
	Account int  // its number
	Known   bool // whether the identifier has an account

	Ref        string   // of the case, once its opening was acknowledged
	State      string   // the furthest state that a reply told
	Challenges []string // acknowledged, in their order
	Answered   bool     // the code's acceptance was acknowledged
	Completed  bool     // so was the new secret
	Secret     string   // the new one
	Overdue    bool     // the code's time was over before it could be sent
	Broken     bool     // the client gave up: the steps after those above have an unknown end

	// Wrong are replies that should not be, such as a code that worked twice.
	Wrong []string

	id, token, openKey string
}

// wrong notes a reply that should not be.
func (r *Recovery) wrong(format string, args ...any) {
	r.Wrong = append(r.Wrong, fmt.Sprintf(format, args...))
}

// Record is what all clients saw.
type Record struct {
	mu         sync.Mutex
	Recoveries []*Recovery
	Replies
}

// Replies counts how requests ended.
type Replies struct {
	Acknowledged int // steps that got 2xx
	Unknown      int // requests that got no reply, and were sent again
	Refused      int // requests that got 503, and were sent again
}

func (r *Record) add(one *Recovery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Recoveries = append(r.Recoveries, one)
}

func (r *Record) count(counter *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*counter++
}

// replies are those until now.
func (r *Record) replies() Replies {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Replies
}

// acknowledged is how many steps were, until now.
func (r *Record) acknowledged() int { return r.replies().Acknowledged }
