package story

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/testkit/browser"
)

// Command does one line of a story. args are its words, values filled in.
type Command func(r *Run, args []string) error

// Value gives what a name in a command stands for; args are the words after it.
type Value func(r *Run, args []string) (string, error)

// World is what a story happens in: usually one server with its storage, clock
// and recorded messages.
//
// These commands are always there; "see" and "not-see" look at a message that the
// line before opened (see [Run.Read]), else at the page of whoever acts:
//
//	as NAME             from here on NAME acts, with a browser of their own
//	visit PATH          type an address
//	follow TEXT         click a link; an absolute URL is opened as from a message
//	fill FIELD VALUE…   FIELD is the name or label of a field
//	choose TEXT         a radio button or box, by label
//	press TEXT          a button, by its whole text
//	press-under H TEXT  the button of the section with the heading H
//	reload              open the page again
//	lose-reply          the next answer does not arrive: page and cookies stay
//	resubmit            send the last form again, as a reload after a POST does
//	forget              drop cookies and page: the same person, another device
//	see TEXT            fails unless it is visible
//	not-see TEXT        fails if it is visible
//	title TEXT          the page's whole title
//	status N            the page's HTTP status
//	url PREFIX          the page's path begins so
type World struct {
	// Browser makes a new browser for a person.
	Browser func(person string) (*browser.Browser, error)
	// Commands are the world's own; none may have a name from the list above.
	Commands map[string]Command
	// Values are the names that stand for something, such as from-inbox: where one
	// comes as an unquoted word, it and all words after it become one word.
	Values map[string]Value
}

// Run is a story being played.
type Run struct {
	T     testing.TB
	Story *Story
	Step  Step // the line being played

	world    *World
	person   string
	reader   string // whose message "see" looks at, empty for none
	browsers map[string]*browser.Browser
}

// Play plays the story to its end or its first error, which begins with file,
// line and command. Every command is known before the first is played.
func (w *World) Play(t testing.TB, s *Story) error {
	table, err := w.table()
	if err != nil {
		return err
	}
	for _, step := range s.Steps {
		if table[step.Command] == nil {
			return fmt.Errorf("%s:%d: no command %q; there are %s", s.Path, step.Line, step.Command,
				strings.Join(slices.Sorted(maps.Keys(table)), ", "))
		}
	}
	r := &Run{T: t, Story: s, world: w, browsers: map[string]*browser.Browser{}}
	for _, step := range s.Steps {
		r.Step = step
		args, err := r.expand(step.Words)
		if err == nil {
			if step.Command != "see" && step.Command != "not-see" {
				r.reader = ""
			}
			err = table[step.Command](r, args)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %s\n%w", s.Path, step.Line, step.Text, err)
		}
	}
	return nil
}

// table joins the generic commands with the world's own.
func (w *World) table() (map[string]Command, error) {
	table := maps.Clone(generic)
	for name, command := range w.Commands {
		if table[name] != nil {
			return nil, fmt.Errorf("story: command %q is taken", name)
		}
		table[name] = command
	}
	return table, nil
}

// expand fills in values.
func (r *Run) expand(words []Word) ([]string, error) {
	var args []string
	for i, word := range words {
		value := r.world.Values[word.Text]
		if value == nil || word.Quoted {
			args = append(args, word.Text)
			continue
		}
		var rest []string
		for _, w := range words[i+1:] {
			rest = append(rest, w.Text)
		}
		meant, err := value(r, rest)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", word.Text, err)
		}
		return append(args, meant), nil
	}
	return args, nil
}

// Person is who acts, empty before the first "as".
func (r *Run) Person() string { return r.person }

// Browser is the browser of whoever acts.
func (r *Run) Browser() (*browser.Browser, error) {
	if r.person == "" {
		return nil, fmt.Errorf("nobody acts yet: say who with \"as NAME\"")
	}
	return r.BrowserOf(r.person)
}

// BrowserOf is a person's browser, made when it is first asked for.
func (r *Run) BrowserOf(person string) (*browser.Browser, error) {
	if b := r.browsers[person]; b != nil {
		return b, nil
	}
	b, err := r.world.Browser(person)
	if err != nil {
		return nil, fmt.Errorf("a browser for %s: %w", person, err)
	}
	r.browsers[person] = b
	return b, nil
}

// Message is what somebody received. HTML is shown where there is one, else Text.
type Message struct {
	Title string // what it is, such as its subject
	Text  string
	HTML  string
}

// Read opens a message in the person's browser in place of their page, and "see"
// and "not-see" look at it until another command comes. The person can follow
// its links, then or later. It is what a world's inbox command calls.
func (r *Run) Read(person string, m Message) error {
	b, err := r.BrowserOf(person)
	if err != nil {
		return err
	}
	r.reader = person
	if m.HTML != "" {
		return b.ReadHTML(m.Title, m.HTML)
	}
	return b.ReadText(m.Title, m.Text)
}

// looking is the browser that "see" looks at.
func (r *Run) looking() (*browser.Browser, error) {
	if r.reader != "" {
		return r.BrowserOf(r.reader)
	}
	return r.Browser()
}

// generic are the commands that every world has.
var generic = map[string]Command{
	"as": func(r *Run, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("as takes one NAME")
		}
		r.person = args[0]
		return nil
	},
	"visit":  acts((*browser.Browser).Visit),
	"choose": acts((*browser.Browser).Choose),
	"press":  acts((*browser.Browser).Press),
	"press-under": func(r *Run, args []string) error {
		if len(args) != 2 {
			return fmt.Errorf("press-under takes HEADING and TEXT")
		}
		b, err := r.Browser()
		if err != nil {
			return err
		}
		return b.PressUnder(args[0], args[1])
	},
	"follow": acts(func(b *browser.Browser, text string) error {
		if strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") {
			return b.FollowURL(text)
		}
		return b.Follow(text)
	}),
	"fill": func(r *Run, args []string) error {
		if len(args) < 2 {
			return fmt.Errorf("fill takes FIELD and VALUE; an empty value is \"\"")
		}
		b, err := r.Browser()
		if err != nil {
			return err
		}
		return b.Fill(args[0], strings.Join(args[1:], " "))
	},
	"reload":     bare((*browser.Browser).Reload),
	"lose-reply": bare(func(b *browser.Browser) error { b.LoseReply(); return nil }),
	"resubmit":   bare((*browser.Browser).Resubmit),
	"forget":     bare(func(b *browser.Browser) error { b.Forget(); return nil }),
	"see":        looks((*browser.Browser).See),
	"not-see":    looks((*browser.Browser).NotSee),
	"title": acts(func(b *browser.Browser, want string) error {
		if b.Title() != want {
			return fmt.Errorf("the title is %q\n%s", b.Title(), b.Text())
		}
		return nil
	}),
	"status": acts(func(b *browser.Browser, want string) error {
		if strconv.Itoa(b.Status()) != want {
			return fmt.Errorf("the status is %d\n%s", b.Status(), b.Text())
		}
		return nil
	}),
	"url": acts(func(b *browser.Browser, prefix string) error {
		at := b.URL()
		if at == nil || !strings.HasPrefix(at.RequestURI(), prefix) {
			return fmt.Errorf("the page is %v\n%s", at, b.Text())
		}
		return nil
	}),
}

// acts makes a command of a deed in the browser of whoever acts.
func acts(do func(b *browser.Browser, text string) error) Command {
	return withText((*Run).Browser, do)
}

// looks makes a command of a look at the message or page in view.
func looks(do func(b *browser.Browser, text string) error) Command {
	return withText((*Run).looking, do)
}

func withText(which func(*Run) (*browser.Browser, error), do func(*browser.Browser, string) error) Command {
	return func(r *Run, args []string) error {
		text := strings.Join(args, " ")
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("%s takes a TEXT", r.Step.Command)
		}
		b, err := which(r)
		if err != nil {
			return err
		}
		return do(b, text)
	}
}

// bare makes a command of a deed that takes no words.
func bare(do func(b *browser.Browser) error) Command {
	return func(r *Run, args []string) error {
		if len(args) != 0 {
			return fmt.Errorf("%s takes no words", r.Step.Command)
		}
		b, err := r.Browser()
		if err != nil {
			return err
		}
		return do(b)
	}
}

// PlayFolder plays every *.txt file of a folder as a subtest with the file's name, each
// in a world of its own; newWorld may call t.Parallel. Names and first lines are
// checked too, and a folder without stories fails.
func PlayFolder(t *testing.T, folder fs.FS, newWorld func(t *testing.T, s *Story) *World) {
	t.Helper()
	files, err := fs.Glob(folder, "*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories in the folder (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".txt"), func(t *testing.T) {
			data, err := fs.ReadFile(folder, file)
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{CheckName(file), CheckOpening(data)} {
				if err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
			s, err := Parse(file, data)
			if err != nil {
				t.Fatal(err)
			}
			if err := newWorld(t, s).Play(t, s); err != nil {
				t.Fatal(err)
			}
		})
	}
}
