package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/recovery"
)

// Import brings accounts in.
type Import struct {
	InRealm
	Repeatable
	Body struct {
		Accounts []account.Record `json:"accounts" minItems:"1" maxItems:"500"`
	}
}

// Results say how each record of a batch went, in its order.
type Results struct {
	Results []Result `json:"results"`
}

// Result says how one record went.
type Result struct {
	ID      string `json:"id" doc:"The host's own ID of the account"`
	Created bool   `json:"created,omitempty" doc:"True when it was not here before"`
	Error   *Fault `json:"error,omitempty" doc:"Why it did not get in; the pointer leads into the record"`
}

func showResults(locale string, in []host.Result) Results {
	out := Results{Results: []Result{}}
	for _, r := range in {
		result := Result{ID: r.ID, Created: r.Created}
		if r.Err != nil {
			p := problem(locale, r.Err, r.Err.Kind.HTTPStatus())
			result.Error = &Fault{Code: p.Code, Title: p.Title}
			if r.Err.Field != "" {
				result.Error.Pointer = pointer(r.Err.Field)
			}
		}
		out.Results = append(out.Results, result)
	}
	return out
}

// VerifySecret asks whether a sign-in secret is right.
type VerifySecret struct {
	InRealm
	Repeatable
	Body struct {
		Identifier string `json:"identifier" maxLength:"320" doc:"As typed"`
		Secret     string `json:"secret" maxLength:"1024" doc:"As typed"`
		Device     string `json:"device,omitempty" maxLength:"200" doc:"The host's own name for the device. One that signed in before has tries of its own, so that strangers cannot lock its owner out."`
	}
}

// Verified is the answer.
type Verified struct {
	Result     string   `json:"result" enum:"ok,wrong,locked,disabled,must-change" doc:"disabled: right, but another lock holds; must-change: right, and to be changed now"`
	Account    string   `json:"account,omitempty" doc:"The host's own ID, when the secret was right"`
	Reasons    []string `json:"reasons,omitempty" doc:"At disabled: why"`
	RetryAfter int64    `json:"retry_after,omitempty" doc:"At locked: seconds until the next try is looked at"`
}

// ReportSignIns reports sign-ins.
type ReportSignIns struct {
	InRealm
	Repeatable
	Body struct {
		SignIns []SignIn `json:"sign_ins" minItems:"1" maxItems:"500"`
	}
}

// SignIn is one that the host saw.
type SignIn struct {
	Account string    `json:"account" maxLength:"200" doc:"The host's own ID"`
	At      time.Time `json:"at"`
	Device  string    `json:"device,omitempty" maxLength:"200" doc:"The host's own words"`
	Network string    `json:"network,omitempty" maxLength:"200" doc:"The host's own words"`
	Place   string    `json:"place,omitempty" maxLength:"200" doc:"The host's own words"`
}

// importWithin is how long a batch may take to arrive; other bodies have five
// seconds.
const importWithin = time.Minute

func (s *site) hostBatchOperations() {
	imports := hosting("import-accounts", http.MethodPost, "/v1/{realm}/accounts", "Import accounts",
		"Brings up to 500 accounts in, in at most 4 MiB. One that exists (same id) is brought up to date: contacts that are not in the "+
			"record are removed, and new ones count as changed now. Each record is whole or not at all, and a bad one keeps no other out.",
		host.ScopeAccountsWrite)
	imports.MaxBodyBytes, imports.BodyReadTimeout = maxImport+1, importWithin
	huma.Register(s.api, imports, func(ctx context.Context, in *Import) (*Answered[Results], error) {
		results, err := s.Host.Import(ctx, in.from(in.Key), in.Body.Accounts)
		return answer(showResults(localeOf(in.Language), results), err)
	})

	export := hosting("export-accounts", http.MethodGet, "/v1/{realm}/accounts", "Export accounts",
		"Every account of the realm as `Account`, one JSON object a line. An answer that breaks off is not whole.",
		host.ScopeAccountsRead)
	export.Responses = map[string]*huma.Response{"200": {
		Description: "One Account a line", Content: map[string]*huma.MediaType{"application/jsonl": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	huma.Register(s.api, export, s.export)

	huma.Register(s.api, hosting("verify-secret", http.MethodPost, "/v1/{realm}/secrets/verify", "Check a sign-in secret",
		"Counts the try, whatever comes of it; unknown identifiers are answered as known ones are. "+
			"A repeat under the same Idempotency-Key gets the first answer and counts nothing.",
		host.ScopeSecrets), s.verifySecret)

	huma.Register(s.api, hosting("report-sign-ins", http.MethodPost, "/v1/{realm}/sign-ins", "Report sign-ins",
		"Takes up to 500 sign-ins that the host saw; the newest of an account counts for dormancy. Those that are known change nothing.",
		host.ScopeSignIns), func(ctx context.Context, in *ReportSignIns) (*Answered[Results], error) {
		var batch []account.PastSignIn
		for _, one := range in.Body.SignIns {
			batch = append(batch, account.PastSignIn{
				HostID: one.Account, At: one.At, Device: one.Device, Network: one.Network, Place: one.Place,
			})
		}
		results, err := s.Host.SignIns(ctx, in.from(in.Key), batch)
		return answer(showResults(localeOf(in.Language), results), err)
	})
}

func (s *site) verifySecret(ctx context.Context, in *VerifySecret) (*Answered[Verified], error) {
	checked, err := s.Host.VerifySecret(ctx, in.from(in.Key), host.SignIn{
		Identifier: in.Body.Identifier, Secret: in.Body.Secret, Device: in.Body.Device,
	})
	out := Verified{Result: string(checked.Result), Account: checked.HostID, RetryAfter: seconds(checked.RetryAfter)}
	for _, reason := range checked.Reasons {
		out.Reasons = append(out.Reasons, string(reason))
	}
	return answer(out, err)
}

// flushEvery is how many lines of an export are written at a time.
const flushEvery = 100

func (s *site) export(ctx context.Context, in *InRealm) (*huma.StreamResponse, error) {
	accounts, err := s.Host.Export(ctx, in.from(""))
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/jsonl")
		encoder := json.NewEncoder(ctx.BodyWriter())
		encoder.SetEscapeHTML(false)
		lines := 0
		for one, err := range accounts {
			if err == nil {
				err = encoder.Encode(showAccount(one))
			}
			if lines++; err == nil && lines%flushEvery == 0 {
				err = flush(ctx)
			}
			if err != nil {
				report(ctx, recovery.AsError(err))
				panic(http.ErrAbortHandler) // half an answer must not look whole
			}
		}
	}}, nil
}
