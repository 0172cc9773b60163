package bench

import (
	"sync"
	"time"

	"github.com/wanbi/wanbi/internal/bench/rig"
)

// sink is a mail server that takes everything and hands codes to whoever waits.
type sink struct {
	*rig.Mail
	mu      sync.Mutex
	waiting map[string]chan string // by recipient
}

// startSink listens on loopback. Each message takes as long as latency says.
func startSink(latency time.Duration) (*sink, error) {
	s := &sink{waiting: map[string]chan string{}}
	var err error
	s.Mail, err = rig.StartMail(func(l rig.Letter) error {
		if latency > 0 {
			time.Sleep(latency)
		}
		s.hand(l.To, l.Code())
		return nil
	})
	return s, err
}

// expect gives where the next code to the recipient appears.
func (s *sink) expect(to string) <-chan string {
	s.mu.Lock()
	defer s.mu.Unlock()
	codes := make(chan string, 1)
	s.waiting[to] = codes
	return codes
}

func (s *sink) forget(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, to)
}

// hand gives the code to whoever waits for mail to the recipient; everything else
// that is sent, such as the notice at the end, is taken and dropped.
func (s *sink) hand(to, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if codes := s.waiting[to]; codes != nil && code != "" {
		delete(s.waiting, to)
		codes <- code
	}
}
