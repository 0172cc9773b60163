package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/audit"
)

const hunter = "Hunter2-SECRET"

// T15: whatever was sent, no answer and no line of the log repeats it.
func TestT15NothingThatWasSentComesBack(t *testing.T) {
	in := install(t)
	in.li()
	c := in.open("reset-password", "13800001234")
	challenge := c.start("phone", "sms-code")
	answer := "/v1/cases/" + c.id + "/challenges/" + challenge + "/answer"
	for name, r := range map[string]struct {
		path, bearer, body string
		status             int
		code               string
	}{
		"no JSON":           {answer, c.token, `{"answer":{"code":"` + hunter + `"`, 400, "error.request.malformed"},
		"only text":         {answer, c.token, hunter, 400, "error.request.malformed"},
		"nothing":           {answer, c.token, ``, 400, "error.request.malformed"},
		"two values":        {answer, c.token, `{} "` + hunter + `"`, 400, "error.request.malformed"},
		"a field twice":     {answer, c.token, `{"answer":{"code":"1","code":"` + hunter + `"}}`, 400, "error.request.malformed"},
		"no UTF-8":          {answer, c.token, "{\"answer\":{\"code\":\"" + hunter + "\xff\"}}", 400, "error.request.malformed"},
		"a list for a text": {answer, c.token, `{"answer":{"code":["` + hunter + `"]}}`, 422, "error.request.fields"},
		"an object":         {answer, c.token, `{"answer":{"code":{"` + hunter + `":1}}}`, 422, "error.request.fields"},
		"an unknown field":  {answer, c.token, `{"answer":{"code":"1"},"` + hunter + `":"x"}`, 422, "error.request.fields"},
		"an unknown path":   {answer, c.token, `{"answer":{"code":1},"a.` + hunter + `.b":"x"}`, 422, "error.request.fields"},
		"a field's other case": {
			answer, c.token, `{"answer":{"CODE":"` + hunter + `"}}`, 422, "error.request.fields",
		},
		"too long":           {answer, c.token, `{"answer":{"code":"` + strings.Repeat(hunter, 10) + `"}}`, 422, "error.request.fields"},
		"a wrong answer":     {answer, c.token, `{"answer":{"code":"` + hunter + `"}}`, 422, "error.code.wrong"},
		"no such challenge":  {"/v1/cases/" + c.id + "/challenges/" + hunter + "/answer", c.token, `{"answer":{}}`, 404, "error.challenge.unknown"},
		"no such case":       {"/v1/cases/" + hunter + "/cancel", c.token, `{}`, 401, "error.case.unknown"},
		"no such token":      {answer, hunter, `{"answer":{"code":"1"}}`, 401, "error.case.unknown"},
		"no such link":       {"/v1/links/confirm", "", `{"token":"` + hunter + `"}`, 404, "error.link.unknown"},
		"no such realm":      {"/v1/" + hunter + "/cases", "", `{"intent":"unlock","identifier":"li"}`, 404, "error.realm.unknown"},
		"no such path":       {"/v1/" + hunter, "", `{}`, 404, "error.not-found"},
		"no such intent":     {"/v1/" + realm + "/cases", "", `{"intent":"` + hunter + `","identifier":"li"}`, 422, "error.request.fields"},
		"no such way":        {"/v1/cases/" + c.id + "/challenges", c.token, `{"way":"` + hunter + `","channel":"x"}`, 422, "error.way.unknown"},
		"no such identifier": {"/v1/" + realm + "/cases", "", `{"intent":"unlock","identifier":"` + hunter + `@"}`, 422, "error.identifier.email"},
		"a secret too early": {"/v1/cases/" + c.id + "/outcome", c.token, `{"secret":"` + hunter + `"}`, 409, "error.case.moved"},
		"a host's key":       {"/v1/" + realm + "/secrets/verify", hunter, `{"identifier":"li","secret":"` + hunter + `"}`, 401, "error.key.unknown"},
		"a host's list":      {"/v1/" + realm + "/secrets/verify", in.key, `{"identifier":"li","secret":["` + hunter + `"]}`, 422, "error.request.fields"},
		"a password hash": {
			"/v1/" + realm + "/accounts", in.key, `{"accounts":[{"id":"a","phone":"1","locked":"` + hunter + `"}]}`, 422, "error.request.fields",
		},
		"a time": {
			"/v1/" + realm + "/sign-ins", in.key, `{"sign_ins":[{"account":"a","at":"` + hunter + `"}]}`, 422, "error.request.fields",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := in.call("POST", r.path, r.bearer, r.body)
			got.problem(r.status, r.code)
			if strings.Contains(got.body, hunter) {
				t.Errorf("the answer repeats it: %s", got.body)
			}
		})
	}
	if strings.Contains(in.log.String(), hunter) {
		t.Errorf("the log repeats it:\n%s", in.log)
	}
}

func TestAProblemNamesThePlaceAndSpeaksTheLanguage(t *testing.T) {
	in := install(t)
	path := "/v1/" + realm + "/cases"
	got := in.call("POST", path, "", `{"identifier":["a","b"],"extra":1}`).problem(422, "error.request.fields")
	places := map[any]any{}
	for _, fault := range got["errors"].([]any) {
		places[at(fault, "pointer")] = at(fault, "code")
	}
	if len(places) != 3 || places["/intent"] != "error.field.missing" || places["/identifier"] != "error.field.form" || places[nil] != "error.field.unknown" {
		t.Errorf("places: %v", places)
	}
	c := in.open("unlock", "13800001234")
	inside := c.post("/challenges/x/answer", `{"answer":{"extra":1}}`).problem(422, "error.request.fields")
	if at(inside, "errors.0.pointer") != "/answer" || at(inside, "errors.0.code") != "error.field.unknown" {
		t.Errorf("an unknown field inside: %v", inside)
	}
	in.call("POST", "/v1/"+realm+"/accounts", in.key, `{"accounts":null}`).problem(422, "error.request.fields")
	wrong := map[string]string{"intent": "unlock", "identifier": ""}
	english := in.call("POST", path, "", wrong).problem(422, "error.identifier.empty")["title"].(string)
	chinese := in.call("POST", path, "", wrong, "Accept-Language: zh-CN,zh;q=0.9").problem(422, "error.identifier.empty")["title"].(string)
	if !strings.Contains(english, "phone number, resident ID number, username or email") || !strings.Contains(chinese, "手机号") {
		t.Errorf("titles: %q, %q", english, chinese)
	}
}

func TestALimitSaysWhenToComeBack(t *testing.T) {
	in := install(t)
	c := in.open("reset-password", "13800001234")
	start := map[string]string{"way": "phone", "channel": "sms-code"}
	c.post("/challenges", start).want(200)
	got := c.post("/challenges", start)
	problem := got.problem(429, "error.limited")
	wait, err := strconv.Atoi(got.header.Get("Retry-After"))
	if err != nil || wait < 1 || wait > 60 || problem["retry_after"] != float64(wait) {
		t.Fatalf("Retry-After %q, retry_after %v", got.header.Get("Retry-After"), problem["retry_after"])
	}
	in.clock.Advance(time.Duration(wait) * time.Second)
	c.post("/challenges", start).want(200)
}

func TestBodiesAreBounded(t *testing.T) {
	in := install(t)
	body := func(size int) string {
		text := `{"intent":"unlock","identifier":"13800001234"}`
		return text + strings.Repeat(" ", size-len(text))
	}
	in.call("POST", "/v1/"+realm+"/cases", "", body(64<<10)).want(201)
	in.call("POST", "/v1/"+realm+"/cases", "", body(64<<10+1)).problem(413, "error.request.too-large")
	records := func(size int) string {
		text := `{"accounts":[{"id":"u-1","phone":"13800001234"}]}`
		return text + strings.Repeat(" ", size-len(text))
	}
	in.call("POST", "/v1/"+realm+"/accounts", in.key, records(4<<20)).want(200)
	in.call("POST", "/v1/"+realm+"/accounts", in.key, records(4<<20+1)).problem(413, "error.request.too-large")
}

func TestOnlyJSONIsRead(t *testing.T) {
	in := install(t)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "nonsense;;"} {
		in.call("POST", "/v1/"+realm+"/cases", "", `{"intent":"unlock","identifier":"13800001234"}`, "Content-Type: "+kind).
			problem(415, "error.request.type")
	}
	in.call("POST", "/v1/"+realm+"/cases", "", `{"intent":"unlock","identifier":"13800001234"}`, "Content-Type: application/json; charset=utf-8").
		want(201)
}

func TestOneHeaderOneValue(t *testing.T) {
	in := install(t)
	c := in.open("unlock", "13800001234")
	r, err := http.NewRequestWithContext(t.Context(), "GET", in.url+"/v1/cases/"+c.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Authorization"] = []string{"Bearer " + c.token, "Bearer another"}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 400 {
		t.Errorf("status %d", response.StatusCode)
	}
}

// T24: nothing of a case is kept on the way, shown in a frame or read by another site.
func TestT24HeadersOfEveryAnswer(t *testing.T) {
	in := install(t)
	c := in.open("unlock", "13800001234")
	for _, r := range []reply{
		c.call("GET", "/v1/cases/"+c.id, c.token, nil), c.call("GET", "/v1/cases/"+c.id, "", nil),
		in.call("GET", "/v1/nothing/here", "", nil), in.call("GET", "/healthz", "", nil),
	} {
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "", "Set-Cookie": "",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		if !strings.Contains(r.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Error("can be framed")
		}
	}
	got := in.call("PUT", "/v1/cases/"+c.id, c.token, nil)
	got.problem(405, "error.request.method")
	if got.header.Get("Allow") != "GET" {
		t.Errorf("Allow: %q", got.header.Get("Allow"))
	}
	preflight := in.call("OPTIONS", "/v1/"+realm+"/cases", "", nil, "Origin: https://elsewhere.example", "Access-Control-Request-Method: POST")
	if preflight.status != 405 || preflight.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight: %d %v", preflight.status, preflight.header)
	}
}

// A fixed path wins over a realm's, so /v1/cases/accounts is a case.
func TestFixedPathsWin(t *testing.T) {
	in := install(t)
	in.call("GET", "/v1/cases/accounts", in.key, nil).problem(401, "error.case.unknown")
	in.call("GET", "/v1/elsewhere/accounts", in.key, nil).problem(401, "error.key.unknown")
}

func TestHealthAndReadiness(t *testing.T) {
	in := install(t)
	if got := in.call("GET", "/healthz", "", nil).want(200); got["status"] != "up" {
		t.Error(got)
	}
	if got := in.call("GET", "/readyz", "", nil).want(200); got["status"] != "ready" {
		t.Error(got)
	}
	if err := in.DB.Close(); err != nil {
		t.Fatal(err)
	}
	in.call("GET", "/healthz", "", nil).want(200)
	got := in.call("GET", "/readyz", "", nil)
	got.problem(503, "error.unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestTheLogCanBeWatched(t *testing.T) {
	in := install(t)
	in.call("GET", "/audit/checkpoint", "", nil).problem(404, "error.not-found")
	in.open("unlock", "13800001234")
	in.settle()
	note, key := in.call("GET", "/audit/checkpoint", "", nil), in.call("GET", "/audit/key", "", nil)
	if !strings.HasPrefix(note.header.Get("Content-Type"), "text/plain") {
		t.Errorf("content type %q", note.header.Get("Content-Type"))
	}
	checkpoint, err := audit.OpenCheckpoint(note.body, strings.TrimSpace(key.body))
	if err != nil || checkpoint.Size == 0 {
		t.Errorf("checkpoint %+v: %v", checkpoint, err)
	}
}

func TestDeliveryReportsNeedTheirToken(t *testing.T) {
	in := install(t)
	path := strings.TrimPrefix(dlrURL(in), "https://id.example.cn")
	for _, method := range []string{"GET", "POST"} {
		if got := in.call(method, path+"&id=0198c0de&status=1", "", nil); got.status != 204 {
			t.Errorf("%s: %d %s", method, got.status, got.body)
		}
	}
	in.call("GET", path+"&id=0198c0de&status=3", "", nil).problem(422, "error.field.form")
	in.call("GET", path+"x&id=0198c0de&status=1", "", nil).problem(401, "error.credentials")
	in.call("GET", "/v1/inbound/kannel?id=0198c0de&status=1", "", nil).problem(401, "error.credentials")
	if log := in.log.String(); strings.Contains(log, "0198c0de") || !strings.Contains(log, "fate=delivered count=2") {
		t.Errorf("log:\n%s", log)
	}
}

// A caller that leaves while it is answered must not take the server along.
func TestACallerMayLeave(t *testing.T) {
	in := install(t)
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, "POST", in.url+"/v1/"+realm+"/cases", reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if response, err := http.DefaultClient.Do(r); err == nil {
			_ = response.Body.Close()
		}
	}()
	if _, err := writer.Write([]byte(`{"intent":`)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = writer.CloseWithError(context.Canceled) // the transport may still be reading the body
	<-gone
	in.call("GET", "/healthz", "", nil).want(200)
}

// decode reads JSON Lines.
func decode(t *testing.T, text string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(text) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
	return out
}
