package demo

import "strings"

// words are the demo's own, in Chinese and in English; %s stands for a value. What
// the product says, it says in package i18n.
var words = map[string][2]string{
	"demo.title":  {"演示", "Demo"},
	"demo.lead":   {"这是一台完整的完璧服务器，人是虚构的，消息留在收件箱里，不会真的发出去。", "This is a whole Wanbi server with made-up people. Messages stay in the inbox here; none is sent."},
	"demo.loud":   {"仅供演示：任何人打开这里都能读到所有消息。", "For demonstration only: whoever opens this reads every message."},
	"demo.inbox":  {"收件箱", "Inbox"},
	"demo.all":    {"全部消息", "Every message"},
	"demo.signin": {"试一次登录", "Try a sign-in"},
	"demo.skip":   {"跳到正文", "Skip to the main text"},

	"try.heading": {"可以试试", "Things to try"},
	"try.1": {
		"打开「一窗通」，选「忘记密码」，输入 13800001001；验证码在收件箱里。设好新密码，再试一次登录。",
		"Open Yichuangtong, choose the forgotten password and enter 13800001001; the code is in the inbox. Set a new password, then try a sign-in.",
	},
	"try.2": {
		"在「一窗通（加固）」做同样的事：要等 24 小时，每个联系方式都会收到提醒。打开提醒里的链接取消它，或把时钟拨快一天。",
		"Do the same in Yichuangtong (hardened): it waits 24 hours, and every contact is told. Stop it by the link in a notice, or move the clock by a day.",
	},
	"try.3": {
		"连续五次输错密码，看看登录怎样被锁，找回又怎样解开。",
		"Enter a wrong password five times and see how sign-in is locked, and how a recovery lifts it.",
	},
	"try.4": {
		"输入一个没有登记的手机号：每一页都和有账号时一样，只是不会有消息。",
		"Enter a number that nobody has: every page is the same as with an account, only no message comes.",
	},

	"realms.heading": {"五个系统", "Five systems"},
	"realms.lead":    {"同一个程序，各用一份策略。前四个照公开说明的样子，第五个是安全的做法。", "One program, a policy each. The first four work as their public descriptions say, the fifth as it should."},
	"realms.by":      {"可以输入：%s", "Takes: %s"},

	"people.heading":  {"账号", "Accounts"},
	"people.lead":     {"每个系统里都有这几个账号，点开手机号或邮箱就是它的收件箱。密码都是", "Each system has these accounts. A phone or mailbox leads to its messages. They all have the password"},
	"people.name":     {"姓名", "Name"},
	"people.phone":    {"手机号", "Phone"},
	"people.email":    {"邮箱", "Email"},
	"people.username": {"用户名", "Username"},
	"people.resident": {"身份证号", "Resident ID"},
	"people.codes":    {"李雷的备用码，在每个系统里各能用一次", "Backup codes of 李雷, each works once in each system"},

	"clock.heading": {"时钟", "Clock"},
	"clock.now":     {"这台服务器现在是", "On this server it is"},
	"clock.minute":  {"+1 分钟", "+1 minute"},
	"clock.hour":    {"+1 小时", "+1 hour"},
	"clock.day":     {"+1 天", "+1 day"},
	"clock.days":    {"+3 天", "+3 days"},
	"clock.moved":   {"比真实时间快 %s", "ahead of real time by %s"},
	"clock.lead":    {"把时钟拨快，等待期、有效期和锁定就会过去，到期的事马上办完。时钟不能往回拨。", "Move the clock and waits, validities and locks pass; what falls due is done at once. It does not go back."},

	"inbox.title":   {"收件箱", "Inbox"},
	"inbox.address": {"手机号或邮箱", "Phone or email"},
	"inbox.hint":    {"留空就显示全部", "Leave it empty for every message"},
	"inbox.show":    {"显示消息", "Show messages"},
	"inbox.none":    {"还没有消息。", "No message yet."},
	"inbox.refresh": {"每 5 秒自动更新", "Updates by itself every 5 seconds"},
	"inbox.still":   {"停止更新", "Stop updating"},
	"inbox.go":      {"恢复更新", "Update again"},
	"inbox.phone":   {"短信", "Text"},
	"inbox.email":   {"邮件", "Mail"},
	"inbox.to":      {"发给 %s", "to %s"},
	"inbox.code":    {"验证码", "Code"},

	"signin.title":       {"试一次登录", "Try a sign-in"},
	"signin.lead":        {"这里问的，就是接入系统在登录时会问的：这个密码对不对？", "This asks what a host system asks at sign-in: is this the right password?"},
	"signin.realm":       {"系统", "System"},
	"signin.identifier":  {"手机号、邮箱或用户名", "Phone, email or username"},
	"signin.password":    {"密码", "Password"},
	"signin.submit":      {"检查密码", "Check the password"},
	"signin.answer":      {"回答", "The answer"},
	"signin.ok":          {"密码正确，账号 %s 可以登录。", "The password is right: account %s may sign in."},
	"signin.wrong":       {"密码不对，或没有这个账号。对接入系统来说两者一样。", "The password is wrong, or there is no such account. A host cannot tell which."},
	"signin.locked":      {"试得太多，登录已暂时锁定，%s后再试；现在正确的密码也不会被检查。找回密码可以解开。", "Too many tries: sign-in is locked. Wait %s; until then even the right password is not looked at. A recovery lifts it."},
	"signin.disabled":    {"密码正确，但账号 %s 因下面的原因被锁定。", "The password is right, but account %s is locked for this reason."},
	"signin.must-change": {"密码正确，但账号 %s 现在必须换密码。", "The password is right, but account %s has to change it now."},

	"foot.api": {"接口说明", "API description"},
}

// say gives one text. A key that is not there shows itself: the test of the pages
// looks for that.
func say(locale, key string, values ...string) string {
	both, ok := words[key]
	if !ok {
		return "?" + key + "?"
	}
	text := both[0]
	if locale == "en" {
		text = both[1]
	}
	for _, value := range values {
		text = strings.Replace(text, "%s", value, 1)
	}
	return text
}
