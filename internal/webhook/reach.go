package webhook

import (
	"context"
	"net/http"
)

// Reach says whether a host answers at the address, with the rules of [Client.Post]
// about where may be called. It tells the host nothing: a HEAD without a body.
// Any answer will do, since hosts take POST only.
func (c *Client) Reach(ctx context.Context, target string) error {
	c.once.Do(c.prepare)
	if c.broken != nil {
		return c.broken
	}
	request, err := c.request(ctx, target, "", nil)
	if err != nil {
		return err
	}
	client := c.https
	if request.URL.Scheme == "http" {
		client = c.plain
	}
	request.Method, request.Body, request.GetBody, request.ContentLength = http.MethodHead, nil, nil, 0
	request.Header = http.Header{"User-Agent": {"wanbi"}}
	response, err := client.Do(request)
	if err != nil {
		return dialError(err)
	}
	return response.Body.Close()
}
