package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/testkit/browser"
)

// open serves mux and gives a browser for it.
func open(t *testing.T, mux *http.ServeMux) (*browser.Browser, string) {
	t.Helper()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return browser.New(server.Client().Transport, server.URL), server.URL
}

// html serves one page.
func html(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, body)
	}
}

// echo shows what was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s %s form[%s]", r.Method, r.URL.Path, r.Form.Encode())
	for _, name := range []string{"Accept-Language", "Sec-Fetch-Site", "Origin", "Referer", "Cookie"} {
		fmt.Fprintf(w, " %s[%s]", name, r.Header.Get(name))
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// refuse fails unless err tells all the wanted words.
func refuse(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error does not say %q:\n%v", word, err)
		}
	}
}

const formPage = `<!doctype html><html><head><title>找回
账号</title></head><body>
<form action="/search"><input name=q aria-label="查找"><button>查找</button></form>
<form method=post action="/send?x=1">
 <input type=hidden name=token value=t1>
 <label>手机号 <input name=identifier maxlength=5 value=""></label>
 <label for=why>说明</label><textarea id=why name=why></textarea>
 <select name=lang><option value=zh-CN>中文</option><option value=en>English</option></select>
 <fieldset><label><input type=radio name=way value=sms checked> 短信 <small>需要手机</small></label>
 <label><input type=radio name=way value=email> 邮件</label></fieldset>
 <label><input type=checkbox name=care> 大字</label>
 <input name=off value=1 disabled><input name=kept value=k readonly>
 <button name=act value=go>  继续
 </button><button name=act value=stop formaction="/stop" aria-label="取消这次申请">取消</button>
 <button type=button>扫码</button><button disabled>稍后</button>
</form><button>孤零零</button></body></html>`

func TestPressSendsWhatABrowserSends(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", echo)
	mux.HandleFunc("/form", html(formPage))
	b, at := open(t, mux)

	must(t, b.Visit("/form"))
	if b.Status() != 200 || b.Title() != "找回 账号" || b.URL().Path != "/form" {
		t.Fatalf("status %d, title %q, URL %v", b.Status(), b.Title(), b.URL())
	}
	must(t,
		b.Fill("identifier", "1380\n0013"), b.Fill("说明", "甲\n乙"), b.Fill("lang", "English"),
		b.Choose("邮件"), b.Choose("大字"), b.Press("继续"),
		b.See("POST /send form[act=go&care=on&identifier=13800&kept=k&lang=en&token=t1&way=email&why=%E7%94%B2%0D%0A%E4%B9%99&x=1]"),
		b.See("Sec-Fetch-Site[same-origin] Origin["+at+"] Referer["+at+"/form]"),
		b.See("Accept-Language[zh-CN,zh;q=0.9,en;q=0.5]"),
	)
	must(t, b.Visit("/form"), b.Choose("email"), b.Choose("短信"), b.Press("取消这次申请"),
		b.See("POST /stop form[act=stop&identifier=&kept=k&lang=zh-CN&token=t1&way=sms&why=]"))
	must(t, b.Visit("/form"), b.Fill("查找", "你 好"), b.Press("查找"),
		b.See("GET /search form[q=%E4%BD%A0+%E5%A5%BD]"), b.See("Origin[]"))
}

func TestFormErrorsNameThePageAndTheChoices(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/form", html(formPage))
	mux.HandleFunc("/twice", html(`<form><button>好</button><button>好</button><label>名<input name=a></label>
		<label>名<input name=b></label><a href="/1">去</a><a href="/2">去</a></form>`))
	b, at := open(t, mux)
	refuse(t, b.See("x"), "no page is open")
	must(t, b.Visit("/form"))
	for name, err := range map[string]error{
		`no button "继"`:                b.Press("继"),
		`"取消", "扫码"`:                   b.Press("nothing"),
		"type=button":                  b.Press("扫码"),
		`"稍后" is disabled`:             b.Press("稍后"),
		"belongs to no form":           b.Press("孤零零"),
		`no field "token"`:             b.Fill("token", "stolen"),
		"cannot be changed":            b.Fill("kept", "x"),
		`"off" cannot`:                 b.Fill("off", "x"),
		`no option "日本語"`:              b.Fill("lang", "日本語"),
		`called "传真"`:                  b.Choose("传真"),
		`no link "首页"; there are none`: b.Follow("首页"),
		`"等待期" is not to be seen`:      b.See("等待期"),
		`"短信" is to be seen`:           b.NotSee("短信"),
	} {
		refuse(t, err, name, at+"/form (200)", "找回 账号", "| 手机号")
	}
	must(t, b.Visit("/twice"))
	refuse(t, b.Press("好"), `2 buttons are called "好"`)
	refuse(t, b.Fill("名", "x"), `2 fields are called "名"`)
	refuse(t, b.Follow("去"), "lead to different places")
}

func TestTextIsWhatAPersonSees(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", html(`<head><title>t</title><style>p{}</style></head><h1>等待期</h1><p>还有 <b>23</b>小时
		59&nbsp;分<br>请留意<script>var s="脚本"</script><template>模板</template></p><p hidden>藏</p>
		<div style="display: none">不见</div><dialog>对话</dialog><noscript>没有脚本也行</noscript>
		<svg><title>璧</title><text>42</text></svg><input type=hidden value=隐><input type=password value=密>
		<input value=13800001234><img alt=标志 src=x><details><summary>更多</summary>详情</details><!-- 注 -->`))
	b, _ := open(t, mux)
	must(t, b.Visit("/"))
	want := "等待期\n还有 23小时 59 分\n请留意\n没有脚本也行 42 13800001234 标志\n更多\n详情"
	if got := b.Text(); got != want {
		t.Errorf("text:\n%s\nwant:\n%s", got, want)
	}
	must(t, b.See("等待期 还有 23小时"), b.NotSee("藏"))
	refuse(t, b.NotSee("还有\n23小时"), "is to be seen")
}

func TestRedirectsAreFollowedTenTimes(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/hop/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		if n == 0 {
			echo(w, r)
			return
		}
		http.Redirect(w, r, "/hop/"+strconv.Itoa(n-1), http.StatusSeeOther)
	})
	mux.HandleFunc("/keep", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/hop/0", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/forms", html(`<form method=post action=/hop/1><input name=a value=1><button>换成查看</button></form>
		<form method=post action=/keep><input name=a value=1><button>照样再发</button></form>`))
	b, _ := open(t, mux)
	must(t, b.Visit("/hop/10"), b.See("GET /hop/0"))
	refuse(t, b.Visit("/hop/11"), "more than 10 redirects", "/hop/11 →")
	must(t, b.Visit("/forms"), b.Press("换成查看"), b.See("GET /hop/0 form[]"))
	must(t, b.Visit("/forms"), b.Press("照样再发"), b.See("POST /hop/0 form[a=1]"))
}

func TestOriginIsNullUnderNoReferrer(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", echo)
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Referrer-Policy", "no-referrer")
		html(`<form method=post action=/send><button>好</button></form><a href=/plain>去</a>`)(w, r)
	})
	b, _ := open(t, mux)
	must(t, b.Visit("/form"), b.Press("好"), b.See("Sec-Fetch-Site[same-origin] Origin[null] Referer[]"))
	must(t, b.Visit("/form"), b.Follow("去"), b.See("Sec-Fetch-Site[same-origin] Origin[] Referer[]"))
	must(t, b.Visit("/plain"), b.See("Sec-Fetch-Site[none] Origin[] Referer[]"))
}

func TestALinkInAMessageComesFromAnotherSite(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/in", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-strict", Value: "1", Path: "/", Secure: true, SameSite: http.SameSiteStrictMode})
		http.SetCookie(w, &http.Cookie{Name: "__Host-lax", Value: "2", Path: "/", Secure: true, SameSite: http.SameSiteLaxMode})
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<a href=/show>看</a><a href="mailto:a@b">写信</a><a href="#top">顶部</a>`)
	})
	mux.HandleFunc("/show", echo)
	mux.HandleFunc("/link/{token}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/show", http.StatusSeeOther) })
	b, at := open(t, mux)

	must(t, b.Visit("/in"), b.Follow("顶部"), b.See("看"), b.Follow("看"), b.See("Cookie[__Host-strict=1; __Host-lax=2]"))
	must(t, b.FollowURL(at+"/link/abc"), b.See("Sec-Fetch-Site[cross-site]"), b.See("Cookie[__Host-lax=2]"))
	must(t, b.ReadHTML("提醒", `<p>有人正在申请<a href="`+at+`/link/abc">不是我本人操作</a>`),
		b.See("有人正在申请"), b.Follow("不是我本人操作"), b.See("Cookie[__Host-lax=2]"))
	for _, words := range []string{"不是我本人操作", "查看记录", at + "/link/def", "取消"} {
		must(t, b.ReadText("短信", "【一窗通】有人在申请。\n不是我本人操作："+at+"/link/abc。\n"+at+"/link/def\n查看记录\n"+at+"/show\n取消 "+at+"/show?x=1"))
		must(t, b.Follow(words), b.See("Sec-Fetch-Site[cross-site]"))
	}
	refuse(t, b.FollowURL("/link/abc"), "not an absolute URL")
	must(t, b.Visit("/in"))
	refuse(t, b.Follow("写信"), "which is no page")
	b.Forget()
	must(t, b.Visit("/show"), b.See("Cookie[]"))
}

func TestCookiesAreKeptAsABrowserKeepsThem(t *testing.T) {
	line := ""
	mux := http.NewServeMux()
	mux.HandleFunc("/set", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Set-Cookie", line) })
	mux.HandleFunc("/", echo)
	b, _ := open(t, mux)
	for name, c := range map[string]struct{ set, refusal string }{
		"host":             {"__Host-a=1; Path=/; Secure; HttpOnly", ""},
		"host not secure":  {"__Host-a=1; Path=/", "asks for Secure"},
		"host in any case": {"__HOST-a=1; Path=/", "asks for Secure"},
		"host with path":   {"__Host-a=1; Path=/in; Secure", "asks for Path=/"},
		"host, no path":    {"__Host-a=1; Secure", "asks for Path=/"},
		"host with domain": {"__Host-a=1; Path=/; Secure; Domain=127.0.0.1", "allows no Domain"},
		"secure prefix":    {"__Secure-a=1", "asks for Secure"},
		"other domain":     {"a=1; Domain=example.cn", "does not cover"},
		"none, not secure": {"a=1; SameSite=None", "SameSite=None asks for Secure"},
		"too long":         {"a=" + strings.Repeat("x", 4096), "4096 are kept"},
		"longest":          {"a=" + strings.Repeat("x", 4095), ""},
		"nonsense":         {"no equals sign", "no equals sign"},
	} {
		t.Run(name, func(t *testing.T) {
			line = c.set
			if err := b.Visit("/set"); c.refusal == "" {
				must(t, err)
			} else {
				refuse(t, err, c.refusal)
			}
		})
	}
}

func TestCookiesExpireByTheGivenClock(t *testing.T) {
	now := time.Date(2026, 3, 5, 1, 0, 0, 0, time.UTC)
	mux := http.NewServeMux()
	mux.HandleFunc("/set", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "a=1; Path=/; Max-Age=60")
		w.Header().Add("Set-Cookie", "b=2; Path=/deep; Expires="+now.Add(time.Minute).Format(http.TimeFormat))
	})
	mux.HandleFunc("/drop", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Set-Cookie", "a=; Path=/; Max-Age=0") })
	mux.HandleFunc("/", echo)
	b, _ := open(t, mux)
	b.Now = func() time.Time { return now }
	must(t, b.Visit("/set"), b.Visit("/deep/x"), b.See("Cookie[b=2; a=1]"), b.Visit("/deeper"), b.See("Cookie[a=1]"))
	now = now.Add(59 * time.Second)
	must(t, b.Visit("/deep"), b.See("Cookie[b=2; a=1]"))
	if v, ok := b.Cookie("a"); !ok || v != "1" {
		t.Errorf("Cookie(a) = %q, %v", v, ok)
	}
	now = now.Add(time.Second)
	must(t, b.Visit("/deep"), b.See("Cookie[]"))
	must(t, b.Visit("/set"), b.Visit("/drop"), b.Visit("/"), b.See("Cookie[]"))
}

func TestPagesInAnotherEncodingAreRefused(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/gbk", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=gbk")
	})
	mux.HandleFunc("/broken", html("\xff"))
	b, _ := open(t, mux)
	refuse(t, b.Visit("/gbk"), "is in gbk")
	refuse(t, b.Visit("/broken"), "not valid UTF-8")
}

func TestSecureCookiesNeedHTTPSOrLoopback(t *testing.T) {
	answer := func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("Set-Cookie", "__Host-a=1; Path=/; Secure")
		return w.Result(), nil
	}
	for base, refusal := range map[string]string{
		"https://recover.example.cn": "", "http://localhost:1": "", "http://127.0.0.1:1": "",
		"http://recover.example.cn": "neither https nor loopback",
	} {
		err := browser.New(roundTrip(answer), base).Visit("/")
		if refusal == "" {
			must(t, err)
		} else {
			refuse(t, err, refusal)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
