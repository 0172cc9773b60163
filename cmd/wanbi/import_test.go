package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/recovery"
)

// readRejects gives what a reject file says, by line of the import file.
func readRejects(t *testing.T, path string) map[int]reject {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]reject{}
	for line := range strings.Lines(string(text)) {
		var r reject
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		out[r.Line] = r
	}
	return out
}

// export gives the realm's accounts by ID.
func export(t *testing.T, i installation, realm string) map[string]account.Record {
	t.Helper()
	out := map[string]account.Record{}
	got := wanbi(t, "export", "--config", i.config, "--realm", realm).want(t, exitOK)
	for line := range strings.Lines(got.out) {
		var r account.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		out[r.ID] = r
	}
	return out
}

// Ten thousand rows, forty of them bad in four ways; fewer under the race
// detector, which makes SQLite twenty times slower.
func TestTenThousandAccountsAreImportedAndTheBadOnesSaid(t *testing.T) {
	i := install(t)
	const badEvery = 250
	const rows, bad = importRows, importRows / badEvery
	var csv strings.Builder
	csv.WriteString("\ufeffreal_name,phone,id,email,more_emails\n")
	want := map[int]reject{}
	for n := 1; n <= rows; n++ {
		phone, more := fmt.Sprintf("138%08d", n), ""
		line := n + 1
		if n%badEvery == 0 {
			switch n / badEvery % 4 {
			case 0:
				phone = "138000000000000"
				want[line] = reject{Field: "phone", Code: "error.identifier.phone"}
			case 1:
				more = "not an address"
				want[line] = reject{Field: "more_emails[0]", Code: "error.identifier.email"}
			case 2:
				more = "a@example.cn,one cell too many"
				want[line] = reject{Code: "error.import.columns"}
			case 3:
				phone = `13800"000001`
				want[line] = reject{Code: "error.import.quote"}
			}
		}
		fmt.Fprintf(&csv, "某人%d,%s,host-%d,person%d@example.cn,%s\n", n, phone, n, n, more)
	}
	file := i.file("accounts.csv", csv.String())
	run := func() string {
		return wanbi(t, "import", "--config", i.config, "--realm", "yichuangtong", file).
			want(t, exitFound, fmt.Sprintf("%d records were rejected; %s.rejects.jsonl says which and why", bad, file)).out
	}
	if got := run(); !strings.HasPrefix(got, fmt.Sprintf("%d records read: %d new, 0 brought up to date, %d rejected", rows, rows-bad, bad)) {
		t.Errorf("it says %s", got)
	}
	got := readRejects(t, file+".rejects.jsonl")
	for line, w := range want {
		if g := got[line]; g.Field != w.Field || g.Code != w.Code || g.Message == "" {
			t.Errorf("line %d: %+v, want %+v", line, g, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rejects, want %d", len(got), len(want))
	}
	text, err := os.ReadFile(file + ".rejects.jsonl")
	if err != nil || strings.Contains(string(text), "1380") || strings.Contains(string(text), "not an address") {
		t.Errorf("the reject file tells values, or %v", err)
	}
	before := export(t, i, "yichuangtong")
	if len(before) != rows-bad {
		t.Fatalf("%d accounts", len(before))
	}
	if got := run(); !strings.HasPrefix(got, fmt.Sprintf("%d records read: 0 new, %d brought up to date, %d rejected", rows, rows-bad, bad)) {
		t.Errorf("the second run says %s", got)
	}
	if after := export(t, i, "yichuangtong"); !reflect.DeepEqual(before, after) {
		t.Error("the second run changed something")
	}
}

const jsonLines = `{"id":"1001","phone":"13800001001","email":"li@example.cn","more_emails":["family@example.cn"],"username":"lilei","resident_id":"110101190003070010","real_name":"李雷","locale":"zh-CN","contact_changed_at":"2026-03-05T09:00:00+08:00"}
{"id":"1002","email":"emma@example.com","more_phones":["+8613800001007"],"locale":"en","locked":"violation"}
`

func TestWhatIsExportedCanBeImported(t *testing.T) {
	i := install(t)
	file := i.file("accounts.jsonl", jsonLines)
	wanbi(t, "import", "--config", i.config, "--realm", "yichuangtong", file).want(t, exitOK, "2 new")
	copied := filepath.Join(i.folder, "copy.jsonl")
	wanbi(t, "export", "--config", i.config, "--realm", "yichuangtong", "--output", copied).want(t, exitOK, "2 accounts")
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	wanbi(t, "import", "--config", i.config, "--realm", "hardened-yichuangtong", copied).want(t, exitOK, "2 new")
	first, second := export(t, i, "yichuangtong"), export(t, i, "hardened-yichuangtong")
	for id, a := range first {
		b := second[id]
		a.LastSignInAt, b.LastSignInAt = nil, nil // of an account that never signed in: when it came
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%+v became %+v", a, b)
		}
	}
	if a := first["1002"]; a.Locked != "violation" || len(a.MorePhones) != 1 || a.Phone != "" || a.Email != "emma@example.com" {
		t.Errorf("exported %+v", a)
	}
	wanbi(t, "export", "--config", i.config, "--realm", "yichuangtong", "--output", copied).want(t, exitFailure, "file exists")
}

func TestADryRunTouchesNothing(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "accounts.jsonl")
	if err := os.WriteFile(file, []byte(jsonLines+`{"id":"1003"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got := wanbi(t, "import", "--realm", "anywhere", "--dry-run", file).want(t, exitFound, "2 would go in, 1 rejected", "nothing was changed")
	if rejects := readRejects(t, file+".rejects.jsonl"); rejects[3].Code != "error.import.no-identifier" {
		t.Errorf("%v, %s", rejects, got.out)
	}
	if err := os.WriteFile(file, []byte(jsonLines), 0o600); err != nil {
		t.Fatal(err)
	}
	wanbi(t, "import", "--realm", "anywhere", "--dry-run", file).want(t, exitOK, "2 would go in, 0 rejected")
	if _, err := os.Stat(file + ".rejects.jsonl"); !os.IsNotExist(err) {
		t.Error("the reject file of the run before is still there")
	}
}

func TestImportReadsStandardInput(t *testing.T) {
	i := install(t)
	rejects := filepath.Join(i.folder, "r.jsonl")
	args := []string{"import", "--config", i.config, "--realm", "yichuangtong", "--rejects", rejects, "-"}
	wanbiWith(t, jsonLines, args...).want(t, exitFailure, "say --format")
	wanbiWith(t, jsonLines, append(args, "--format", "jsonl")...).want(t, exitOK, "2 new")
}

func TestImportSaysWhatItCannotRead(t *testing.T) {
	i := install(t)
	at := []string{"--config", i.config, "--realm", "yichuangtong"}
	for name, c := range map[string]struct {
		file, want string
		args       []string
	}{
		"no such file":      {filepath.Join(i.folder, "nowhere.csv"), "no such file", at},
		"another ending":    {i.file("a.xlsx", ""), "ends in neither .csv nor .jsonl", at},
		"an unknown column": {i.file("b.csv", "id,telephone\n"), `no column is called "telephone"`, at},
		"an unknown realm":  {i.file("c.csv", "id\n"), "there are hardened-yichuangtong, yichuangtong", []string{"--config", i.config, "--realm", "nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			wanbi(t, append([]string{"import", c.file}, c.args...)...).want(t, exitFailure, c.want)
		})
	}
}

// What was read before the file broke is in, and stays in.
func TestABrokenFileKeepsWhatWasReadBefore(t *testing.T) {
	i := install(t)
	file := i.file("accounts.csv", "id,username\n1001,lilei\n1002,\""+strings.Repeat("x\n", 600000))
	wanbi(t, "import", "--config", i.config, "--realm", "yichuangtong", file).want(t, exitFailure, "is a quote not closed?", "1 new")
	if got := export(t, i, "yichuangtong"); len(got) != 1 || got["1001"].Username != "lilei" {
		t.Errorf("%v", got)
	}
}

func TestRejectsHaveAMessageForEveryKindOfProblem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	f := &rejectFile{path: path}
	for line, e := range []*recovery.Error{
		recovery.BadInput("error.identifier.empty").At("phone"), recovery.BadInput("error.import.too-many").At("more_phones").With("most", 8),
		recovery.Internal(os.ErrInvalid), recovery.BadInput("error.lock.reason").At("locked"),
	} {
		if err := f.add(line, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	for line, r := range readRejects(t, path) {
		if r.Message == "" || strings.ContainsAny(r.Message, "{}") {
			t.Errorf("%d: %+v", line, r)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
