package story_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wanbi/wanbi/internal/testkit/browser"
	"github.com/wanbi/wanbi/internal/testkit/story"
)

func TestParseSplitsLinesIntoWords(t *testing.T) {
	s, err := story.Parse("stories/words-are-split-well.txt", []byte(`# A comment.

policy hardened/yichuangtong
  fill code 12 34      # its end is a comment
account li name="李 雷" note="a \"b\" \\ # c" lang=zh-CN#1
fill empty ""
-- rows.csv --
a,b
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, step := range s.Steps {
		got = append(got, fmt.Sprint(step.Line, step.Command, step.Words))
	}
	want := []string{
		"3policy[{hardened/yichuangtong false}]",
		"4fill[{code false} {12 false} {34 false}]",
		`5account[{li false} {name=李 雷 true} {note=a "b" \ # c true} {lang=zh-CN#1 false}]`,
		"6fill[{empty false} { true}]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s.Name() != "words-are-split-well" {
		t.Errorf("name %q", s.Name())
	}
	if data, err := s.File("rows.csv"); err != nil || string(data) != "a,b\n" {
		t.Errorf("file: %q, %v", data, err)
	}
	if _, err := s.File("other.csv"); err == nil {
		t.Error("a file that is not there was found")
	}
}

func TestParseRefusesWhatCannotBeMeant(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"open quote":    {"as li\nsee \"等待", "f.txt:2: a quote is not closed"},
		"nothing":       {"# only words\n", "f.txt: the story has no commands"},
		"quoted first":  {`"see" x`, `f.txt:1: a line begins with a command, not with "see"`},
		"file is twice": {"as li\n-- a --\n-- a --\n", `file "a" is there twice`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := story.Parse("f.txt", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestNamesAreSentences(t *testing.T) {
	for name, good := range map[string]bool{
		"owner-can-cancel-until-the-last-second.txt": true,
		"stories/a-b-c-d.txt":                        true,
		"a-b-c.txt":                                  false,
		"Owner-can-cancel-now.txt":                   false,
		"owner_can_cancel_now.txt":                   false,
		"owner-can--cancel-now.txt":                  false,
		"owner-can-cancel-now.txtar":                 false,
	} {
		if err := story.CheckName(name); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	for first, good := range map[string]bool{
		"# The owner stops a stranger.\nas li\n": true,
		"# A stranger starts;\n# more.\n":        true,
		"as li\n":                                false,
		"# \n":                                   false,
		"#The owner stops.\n":                    false,
		"# owner stops\n":                        false,
	} {
		if err := story.CheckOpening([]byte(first)); (err == nil) != good {
			t.Errorf("%q: %v", first, err)
		}
	}
}

// world serves a page that greets the cookie's name, and has an inbox.
func world(t *testing.T) *story.World {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		who := "陌生人"
		if c, err := r.Cookie("who"); err == nil {
			who = c.Value
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<title>找回账号</title><p>你好,%s</p><form method=post action=/in><label>名字 <input name=who></label>
			<label><input type=radio name=way value=sms> 短信</label><button>继续</button></form><a href=/gone>别处</a>`, who)
	})
	mux.HandleFunc("/gone", http.NotFound)
	mux.HandleFunc("/in", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "who", Value: r.FormValue("who") + r.FormValue("way"), Path: "/"})
		http.Redirect(w, r, "/page?n=1", http.StatusSeeOther)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &story.World{
		Browser: func(person string) (*browser.Browser, error) {
			if person == "nobody" {
				return nil, errors.New("no such person")
			}
			return browser.New(server.Client().Transport, server.URL), nil
		},
		Commands: map[string]story.Command{
			"inbox": func(r *story.Run, args []string) error {
				return r.Read(args[0], story.Message{Title: "提醒", Text: "有人在申请\n不是我: " + server.URL + "/gone"})
			},
			"advance": func(r *story.Run, args []string) error { return nil },
		},
		Values: map[string]story.Value{
			"from-inbox": func(r *story.Run, args []string) (string, error) {
				if len(args) != 2 {
					return "", fmt.Errorf("takes PERSON and CHANNEL, not %q", args)
				}
				return strings.Join(args, "+"), nil
			},
			"link-from-inbox": func(r *story.Run, args []string) (string, error) { return server.URL + "/gone", nil },
		},
	}
}

const wholeStory = `# Two people use the page, and one reads a message.
as li
visit /
status 200
title 找回账号
url /
see 你好,陌生人
fill 名字 from-inbox li sms
choose 短信
press 继续
url /page?n=1
see 你好,li+smssms
as wang
visit /
see 陌生人
not-see li+sms
inbox li email
see 有人在申请
not-see 陌生人
advance 1h
see 陌生人                   # Wang's own page again
fill who "from-inbox"
press 继续
see 你好,from-inbox
forget
visit /
see 陌生人
reload
see 陌生人
as li
follow 不是我
status 404
follow link-from-inbox li email
status 404
`

func TestPlayFolderRunsEachFileAsASubtest(t *testing.T) {
	story.PlayFolder(t, fstest.MapFS{"two-people-use-one-page.txt": {Data: []byte(wholeStory)}},
		func(t *testing.T, s *story.Story) *story.World { return world(t) })
}

func TestErrorsNameFileLineAndCommand(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown, told first": {"as li\nvisit /\nsee nothing of the kind\nadvence 1h", `f.txt:4: no command "advence"; there are advance, as,`},
		"not seen":            {"as li\n\nvisit /\nsee 等待期 # no", "f.txt:4: see 等待期 # no\n\"等待期\" is not to be seen\n  on http://"},
		"nobody":              {"visit /", "f.txt:1: visit /\nnobody acts yet"},
		"no browser":          {"as nobody\nvisit /", "a browser for nobody: no such person"},
		"bad value":           {"as li\nvisit /\nfill who from-inbox li", `f.txt:3: fill who from-inbox li` + "\n" + `from-inbox: takes PERSON and CHANNEL, not ["li"]`},
		"fill without value":  {"as li\nvisit /\nfill who", "fill takes FIELD and VALUE"},
		"see without text":    {"as li\nvisit /\nsee", "see takes a TEXT"},
		"as two":              {"as li wang", "as takes one NAME"},
		"reload with words":   {"as li\nvisit /\nreload now", "reload takes no words"},
		"status":              {"as li\nvisit /gone\nstatus 200", "the status is 404"},
		"title":               {"as li\nvisit /\ntitle 找回", `the title is "找回账号"`},
		"url":                 {"as li\nvisit /\nurl /page", "the page is http://"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := story.Parse("f.txt", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if err := world(t).Play(t, s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error:\n%v\nwant:\n%s", err, c.want)
			}
		})
	}
	w := world(t)
	w.Commands["see"] = w.Commands["advance"]
	s, _ := story.Parse("f.txt", []byte("as li"))
	if err := w.Play(t, s); err == nil || !strings.Contains(err.Error(), `command "see" is taken`) {
		t.Errorf("a world's own see: %v", err)
	}
}
