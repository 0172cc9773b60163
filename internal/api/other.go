package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wanbi/wanbi/internal/inbound"
	"github.com/wanbi/wanbi/internal/recovery"
)

const (
	tagInbound = "Inbound"
	tagProcess = "Process"
	tagAudit   = "Audit"
)

// State is how a process is.
type State struct {
	Status string `json:"status" enum:"up,ready"`
}

// Text is a plain answer.
type Text struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// DeliveryReport is what Kannel says of a text.
type DeliveryReport struct {
	Token  string `query:"token" maxLength:"200" doc:"Part of the address that the gateway was given"`
	ID     string `query:"id" maxLength:"128" doc:"The message's ID"`
	Status string `query:"status" maxLength:"4" doc:"1 delivered, 2 not delivered, 4 queued, 8 accepted, 16 refused"`
}

// readyWithin is how long the database has for an answer.
const readyWithin = 2 * time.Second

func (s *site) otherOperations() {
	open := func(op huma.Operation) huma.Operation {
		op.Security = []map[string][]string{}
		return op
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		op := open(operation(strings.ToLower(method)+"-kannel-report", method, inbound.KannelPath, tagInbound, "Take an SMS gateway's delivery report",
			"Counts what became of a text. It decides nothing and keeps nothing of the message.",
			http.StatusUnauthorized))
		huma.Register(s.api, op, func(ctx context.Context, in *DeliveryReport) (*struct{}, error) {
			return nil, s.Inbound.Kannel(ctx, inbound.Report{Token: in.Token, ID: in.ID, Status: in.Status})
		})
	}
	huma.Register(s.api, open(operation("healthz", http.MethodGet, "/healthz", tagProcess, "Is the process up?",
		"Answers as long as the process does. Asks nobody.", http.StatusInternalServerError)),
		func(context.Context, *struct{}) (*Answered[State], error) { return answer(State{"up"}, nil) })
	huma.Register(s.api, open(operation("readyz", http.MethodGet, "/readyz", tagProcess, "Can it serve?",
		"200 when the database answers within two seconds, else 503 with retry_after.", http.StatusServiceUnavailable)), s.ready)
	huma.Register(s.api, text(open(operation("get-checkpoint", http.MethodGet, "/audit/checkpoint", tagAudit, "Read the newest checkpoint",
		"The signed head of the audit log, a C2SP signed note. 404 until the log has its first entry.",
		http.StatusNotFound, http.StatusServiceUnavailable))), s.checkpoint)
	huma.Register(s.api, text(open(operation("get-log-key", http.MethodGet, "/audit/key", tagAudit, "Read the log's public key",
		"What checkpoints and receipts are verified with. Keep a copy from somewhere else, too.", http.StatusInternalServerError))),
		func(context.Context, *struct{}) (*Text, error) {
			return &Text{plain, []byte(s.Audit.Keys.LogVerifier() + "\n")}, nil
		})
}

const plain = "text/plain; charset=utf-8"

// text documents an answer in plain text.
func text(op huma.Operation) huma.Operation {
	op.Responses = map[string]*huma.Response{"200": {
		Description: "Plain text", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	return op
}

func (s *site) ready(ctx context.Context, _ *struct{}) (*Answered[State], error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	err := s.Ready(ctx)
	var e *recovery.Error
	if err != nil && !errors.As(err, &e) {
		err = recovery.Unavailable("error.unavailable", readyWithin).Because(err)
	}
	return answer(State{"ready"}, err)
}

func (s *site) checkpoint(ctx context.Context, _ *struct{}) (*Text, error) {
	head, _, err := s.Audit.Head(ctx)
	if err != nil {
		return nil, err
	}
	if head.Size == 0 {
		return nil, recovery.NotFound("error.not-found")
	}
	return &Text{plain, []byte(head.Note)}, nil
}
