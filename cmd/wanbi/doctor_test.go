package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func (i installation) settings(old, new string) {
	i.t.Helper()
	text, err := os.ReadFile(i.config)
	if err != nil || !strings.Contains(string(text), old) {
		i.t.Fatalf("settings without %q, %v", old, err)
	}
	if err := os.WriteFile(i.config, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func (i installation) doctor(args ...string) told {
	i.t.Helper()
	return wanbi(i.t, append([]string{"doctor", "--config", i.config}, args...)...)
}

func TestTheDoctorFindsNothingWhereNothingIsWrong(t *testing.T) {
	i := recorded(t)
	got := i.doctor("--offline").want(t, exitOK, "nothing failed")
	for _, line := range []string{
		"settings .* loads", "keys .* every part, for the log id.example.cn/wanbi; versions 1 .used.", "database .*sqlite 3.* is up to date",
		"clock .*agrees", "checkpoint .*agrees with the record of 3 entries", "jobs ", "dead .*no dead letters", "policy .*hardened-yichuangtong: loads, no weakness",
	} {
		if !regexp.MustCompile(`(?m)^ok +` + line).MatchString(got.out) {
			t.Errorf("no line %q in\n%s", line, got.out)
		}
	}
	if strings.Contains(got.out, "mail") || strings.Contains(got.out, "texts") {
		t.Errorf("it asked others all the same:\n%s", got.out)
	}
}

func TestTheDoctorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		code int
		harm func(t *testing.T, i installation)
		want string
	}{
		"settings": {exitFound, func(_ *testing.T, i installation) { i.settings("listen:", "lisen:") }, `fail  settings`},
		"keys that others can read": {exitFound, func(t *testing.T, i installation) {
			if err := os.Chmod(i.keys, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "chmod 600"},
		"keys of another installation": {exitFound, func(t *testing.T, i installation) {
			if err := os.Remove(i.keys); err != nil {
				t.Fatal(err)
			}
			wanbi(t, "keys", "init", i.keys, "--origin", "id.example.cn/wanbi").want(t, exitOK)
		}, "fail  checkpoint"},
		"no database": {exitFound, func(t *testing.T, i installation) {
			if err := os.Rename(filepath.Join(i.folder, "wanbi.db"), filepath.Join(i.folder, "elsewhere.db")); err != nil {
				t.Fatal(err)
			}
		}, "run `wanbi migrate` for a new one"},
		"an old schema": {exitFound, func(t *testing.T, i installation) {
			edit(t, i, "DELETE FROM goose_db_version WHERE version_id > 0")
		}, "older than this program"},
		"a schema beyond this program": {exitFound, func(t *testing.T, i installation) {
			edit(t, i, "INSERT INTO schema_needs (version) VALUES (9000)")
		}, "needs a newer program"},
		"a record from the future": {exitFound, func(t *testing.T, i installation) {
			edit(t, i, "UPDATE log_head SET high_water = 4102444800000")
		}, "set the clock"},
		"a database that was put back": {exitFound, func(t *testing.T, i installation) {
			edit(t, i, "DELETE FROM log_leaves; DELETE FROM log_hashes; UPDATE log_head SET size = 0, checkpoint = ''")
		}, "fail  checkpoint  the database is older"},
		"no checkpoint": {exitOK, func(t *testing.T, i installation) {
			if err := os.Remove(filepath.Join(i.folder, "checkpoint")); err != nil {
				t.Fatal(err)
			}
		}, "warn  checkpoint"},
		"a dead letter": {exitOK, func(t *testing.T, i installation) {
			edit(t, i, "INSERT INTO jobs VALUES ('k', 'j', 'message.deliver', 1, 'x', 16, 0, 5, 'error.x')")
		}, "warn  dead        1 dead letters"},
		"work that nobody does": {exitOK, func(t *testing.T, i installation) {
			edit(t, i, "INSERT INTO jobs VALUES ('k', 'j', 'message.deliver', 1, 'x', 0, 0, 0, '')")
		}, "is the server running"},
		"a folder of keys that others can write": {exitOK, func(t *testing.T, i installation) {
			if err := os.Chmod(i.folder, 0o777); err != nil {
				t.Fatal(err)
			}
		}, "could put another key file there"},
		"a rotation in its first step": {exitOK, func(t *testing.T, i installation) {
			wanbi(t, "keys", "rotate", i.keys).want(t, exitOK)
		}, "warn  rotation    version 2 is not used yet"},
		"values under an older version": {exitOK, func(t *testing.T, i installation) {
			wanbi(t, "keys", "rotate", "--promote", i.keys).want(t, exitOK)
		}, "values stand under older versions"},
		"a rotation that is done": {exitOK, func(t *testing.T, i installation) {
			wanbi(t, "keys", "rotate", "--promote", i.keys).want(t, exitOK)
			i.sealAnew()
		}, "ok    rotation    nothing stands under older versions"},
		"a policy that is not there": {exitFound, func(_ *testing.T, i installation) {
			i.settings("shipped:hardened/yichuangtong", "shipped:nowhere")
		}, "fail  policy"},
	} {
		t.Run(name, func(t *testing.T) {
			i := recorded(t)
			c.harm(t, i)
			i.doctor("--offline").want(t, c.code, c.want)
		})
	}
}

func TestTheDoctorTriesMailAndTextsAndSendsNothing(t *testing.T) {
	i := install(t)
	i.settings("127.0.0.1:25", "127.0.0.1:1")
	var asked []string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RawQuery)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer gateway.Close()
	i.settings("http://127.0.0.1:13013", gateway.URL)
	got := i.doctor().want(t, exitFound, "fail  mail        smtp connect", "ok    texts")
	if strings.Contains(got.out, "only-a-test") || len(asked) != 1 || asked[0] != "GET " {
		t.Errorf("the gateway was asked %q", asked)
	}
	i.settings("log:\n", "tracing:\n  endpoint: "+gateway.URL+"/v1/traces\nlog:\n")
	i.doctor().want(t, exitFound, "ok    traces      the collector answers")
	gateway.Close()
	i.doctor().want(t, exitFound, "warn  traces      the collector does not answer")
	i.doctor().want(t, exitFound, "fail  texts       kannel: ")
}
