package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Reach connects, protects the connection and signs in, as for a message, and
// sends none. The error names the stage that failed and the server's numbers.
func (s *SMTP) Reach(ctx context.Context) error {
	c, failed := s.connect(ctx)
	if failed != nil {
		return failed
	}
	unwatch := within(ctx, s.cfg.Timeout, c.conn)
	err := c.smtp.Quit()
	if cut := unwatch(); cut != nil || err != nil {
		c.close() // it took the sign-in; how it says goodbye does not matter
	}
	return nil
}

// Reach asks the gateway's address for anything, without user, password or
// text. Every answer of an HTTP server but "not found" and its own failures
// counts: smsbox refuses a request without a user.
func (k *Kannel) Reach(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.cfg.URL, nil)
	if err != nil {
		return errors.New("kannel: the address cannot be asked")
	}
	response, err := k.client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return fmt.Errorf("kannel: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 4096)
	if response.StatusCode == http.StatusNotFound || response.StatusCode >= 500 {
		return fmt.Errorf("kannel: status %d", response.StatusCode)
	}
	return nil
}
