package config

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/policy"
)

const example = "../../deploy/wanbi.example.yaml"

func noEnv(string) (string, bool) { return "", false }

func env(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// smsPassword is what the example leaves to the environment.
var smsPassword = map[string]string{EnvSMSPassword: "from the environment"}

func TestTheExampleLoadsAndItsRealmCanBeReached(t *testing.T) {
	c, err := Load(example, env(smsPassword))
	if err != nil {
		t.Fatal(err)
	}
	realms, err := c.Realms()
	if err != nil {
		t.Fatal(err)
	}
	if len(realms) != 1 || realms[0].Policy.Realm.ID != "hardened-yichuangtong" || realms[0].Events == "" {
		t.Errorf("realms %+v", realms)
	}
	if c.SMS.Kannel.Password != "from the environment" || len(c.Proxies()) != 1 || c.HashCost().Memory != 19456 {
		t.Errorf("sms %q, proxies %v, hash %+v", c.SMS.Kannel.Password, c.Proxies(), c.HashCost())
	}
}

// The example is the manual of whoever sets a server up: no key is missing in it.
func TestTheExampleNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{"config.Config", "config.Policy", "config.SMTP", "config.SMS", "config.Kannel", "config.Log", "config.Hash"} {
		keys := keysOf(section)
		if len(keys) == 0 {
			t.Errorf("%s has no keys", section)
		}
		for _, key := range keys {
			if key == "password" && section == "config.SMTP" {
				continue // the example says where else it comes from
			}
			if !regexp.MustCompile(`(?m)^[ #-]*` + regexp.QuoteMeta(key) + `:`).Match(text) {
				t.Errorf("%s: no key %s", section, key)
			}
		}
	}
}

// Each fixture is named for what is wrong with it; its first line says what must
// be told of it.
func TestBustedSettingsAreRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/busted_*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			want := strings.TrimPrefix(first, "# ")
			_, err = Load(readableByAll(t, text), noEnv)
			var problems policy.Errors
			if !errors.As(err, &problems) || len(problems) != 1 || !strings.Contains(err.Error(), want) {
				t.Fatalf("it is told\n%v\nwant one problem with\n%s", err, want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is told: %v", err)
			}
		})
	}
}

// readableByAll puts a file where its rights are known, whatever the umask.
func readableByAll(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wanbi.yaml")
	if err := errors.Join(os.WriteFile(path, text, 0o644), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOneRunNamesEveryProblemInTheOrderOfTheLines(t *testing.T) {
	_, err := Load(readableByAll(t, []byte("log:\n  level: loud\norigin: http://id.example.cn\nlisten: here\n")), noEnv)
	var problems policy.Errors
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	if want := []string{"database", "keys", "policies", "log.level", "origin", "listen"}; !slices.Equal(paths, want) {
		t.Errorf("problems at %v, want %v", paths, want)
	}
}

const sound = "listen: 127.0.0.1:8080\norigin: http://127.0.0.1:8080\ndatabase: sqlite:wanbi.db\nkeys: keys.json\npolicies:\n  - file: shipped:yichuangtong\n"

func TestSecretsComeFromTheEnvironment(t *testing.T) {
	file := readableByAll(t, []byte(sound+"smtp:\n  addr: 127.0.0.1:25\n  from: a@example.cn\nsms:\n  kannel:\n    url: http://127.0.0.1/\n    user: wanbi\n"))
	c, err := Load(file, env(map[string]string{
		EnvDatabase: "postgres://wanbi:hunter2@db/wanbi", EnvSMTPPassword: "mail", EnvSMSPassword: "texts",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Database != "postgres://wanbi:hunter2@db/wanbi" || c.SMTP.Password != "mail" || c.SMS.Kannel.Password != "texts" {
		t.Errorf("%q %q %q", c.Database, c.SMTP.Password, c.SMS.Kannel.Password)
	}
	if strings.Contains(c.String(), "hunter2") {
		t.Error("printing the settings tells a secret")
	}
}

func TestAPasswordMayStandInAFileThatIsNotForEverybody(t *testing.T) {
	file := readableByAll(t, []byte(sound+"smtp:\n  addr: 127.0.0.1:25\n  from: a@example.cn\n  password: hunter2\n"))
	for mode, want := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o644: false, 0o604: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file, noEnv); (err == nil) != want {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestPathsAreTakenFromTheFilesFolder(t *testing.T) {
	file := readableByAll(t, []byte(strings.Replace(sound, "shipped:yichuangtong", "own.yaml\n  - file: shipped:vivo-service-code\n  - file: /etc/wanbi/abs.yaml", 1)+
		"checkpoint: state/checkpoint\n"))
	c, err := Load(file, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(file)
	got := []string{c.Keys, c.Checkpoint, c.Database, c.Policies[0].File, c.Policies[1].File, c.Policies[2].File}
	want := []string{
		filepath.Join(folder, "keys.json"), filepath.Join(folder, "state/checkpoint"), "sqlite:" + filepath.Join(folder, "wanbi.db"),
		filepath.Join(folder, "own.yaml"), "shipped:vivo-service-code", "/etc/wanbi/abs.yaml",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestARealmWhoseCodesCannotBeSentIsRefused(t *testing.T) {
	smtp := "smtp:\n  addr: 127.0.0.1:25\n  from: a@example.cn\n"
	sms := "sms:\n  kannel:\n    url: http://127.0.0.1/\n    user: wanbi\n"
	for name, c := range map[string]struct{ sections, want string }{
		"nothing":   {"", "but there is no section s"},
		"no texts":  {smtp, "proves by sms-code, but there is no section sms"},
		"no e-mail": {sms, "proves by email-code, but there is no section smtp"},
		"both":      {smtp + sms, ""},
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := Load(readableByAll(t, []byte(sound+c.sections)), env(smsPassword))
			if err != nil {
				t.Fatal(err)
			}
			_, err = settings.Realms()
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestShippedPoliciesLoadByName(t *testing.T) {
	names := Shipped()
	if len(names) != 8 {
		t.Errorf("%d policies: %v", len(names), names)
	}
	for _, name := range names {
		if _, err := LoadPolicy(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := LoadPolicy("shipped:nowhere"); err == nil || !strings.Contains(err.Error(), "shipped:hardened/wechat-pay") {
		t.Errorf("%v, want the names that there are", err)
	}
	if _, err := LoadPolicy("nowhere.yaml"); err == nil {
		t.Error("a file that is not there loads")
	}
}

func TestMissingSettingsSayWhatToDo(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "wanbi.yaml"), noEnv); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Error(err)
	}
}
