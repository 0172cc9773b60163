package demo

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/secret"
)

// Password is that of every sample account until it is recovered.
const Password = "Jade-Returned-2026"

// Policies are the demo's realms, as config.LoadPolicy takes them: four systems as
// their public descriptions say they work, and one of them as it should.
var Policies = []string{
	"shipped:yichuangtong", "shipped:wechat-pay", "shipped:postal-wallet", "shipped:vivo-service-code", "shipped:hardened/yichuangtong",
}

// Sample is one made-up account. Its people do not exist: the telephone numbers
// are from a range kept for pictures of numbers, and whoever has one of these
// resident IDs would be over a hundred years old.
type Sample struct {
	account.Record
	// What makes it worth trying, in both languages.
	What map[string]string
	// BackupCodes says that it has some.
	BackupCodes bool
}

func both(zh, en string) map[string]string { return map[string]string{"zh-CN": zh, "en": en} }

// Data gives the sample accounts, the same for each realm, as they are at now.
// The first has backup codes; none has a password yet.
func Data(now time.Time) []Sample {
	ago := func(days int) *time.Time {
		at := now.Add(-time.Duration(days) * 24 * time.Hour)
		return &at
	}
	return []Sample{
		{
			What: both("普通账号，有备用码，还有一个接收提醒的邮箱", "An ordinary account with backup codes, and a second mailbox that is told of everything"),
			Record: account.Record{
				ID: "demo-lilei", Phone: "13800001001", Email: "lilei@example.cn", MoreEmails: []string{"family-of-lilei@example.cn"},
				Username: "lilei", RealName: "李雷", ResidentID: "110101190003070010", Locale: "zh-CN",
			},
			BackupCodes: true,
		},
		{
			What: both("昨天换过手机和邮箱：加固的策略会多等一等", "Changed phone and mailbox yesterday: the hardened policy waits longer"),
			Record: account.Record{
				ID: "demo-hanmeimei", Phone: "13800001002", Email: "hanmeimei@example.cn",
				Username: "hanmeimei", RealName: "韩梅梅", ResidentID: "310101190104120029", Locale: "zh-CN", ContactChangedAt: ago(1),
			},
		},
		{
			What: both("和下一个账号用同一个手机号", "Shares one phone with the next account"),
			Record: account.Record{
				ID: "demo-wangfang", Phone: "13800001003", Email: "wangfang@example.cn",
				Username: "wangfang", RealName: "王芳", ResidentID: "440301190205231043", Locale: "zh-CN",
			},
		},
		{
			What: both("同一个人的第二个账号：证明手机后要选一个", "The same person's second account: after the phone is proven, one is chosen"),
			Record: account.Record{
				ID: "demo-wangfang-shop", Phone: "13800001003", Email: "shop-of-wangfang@example.cn",
				Username: "wangfang-shop", RealName: "王芳", Locale: "zh-CN",
			},
		},
		{
			What: both("因违规被停用：只能由人工处理", "Disabled for a violation: only a person can help"),
			Record: account.Record{
				ID: "demo-zhaoqiang", Phone: "13800001004", Email: "zhaoqiang@example.cn",
				Username: "zhaoqiang", RealName: "赵强", ResidentID: "510107190306180033", Locale: "zh-CN", Locked: "violation",
			},
		},
		{
			What: both("长期没有使用而被锁定", "Locked because nobody used it for long"),
			Record: account.Record{
				ID: "demo-sunli", Phone: "13800001005", Email: "sunli@example.cn",
				Username: "sunli", RealName: "孙丽", ResidentID: "330106190411200067", Locale: "zh-CN", Locked: "dormant", LastSignInAt: ago(800),
			},
		},
		{
			What: both("有风险警报：解锁要更强的证明", "Has a risk alarm: unlocking takes a stronger proof"),
			Record: account.Record{
				ID: "demo-zhoumin", Phone: "13800001006", Email: "zhoumin@example.cn",
				Username: "zhoumin", RealName: "周敏", ResidentID: "420106190510090088", Locale: "zh-CN", Locked: "risk-alarm",
			},
		},
		{
			What: both("英文账号：消息用英文发出", "An account in English: its messages are, too"),
			Record: account.Record{
				ID: "demo-emma", Phone: "13800001007", Email: "emma@example.com",
				Username: "emma", RealName: "Emma Brown", ResidentID: "610103190607140076", Locale: "en",
			},
		},
	}
}

// importedHash hashes the password as another system would have, in PHC form
// without our pepper. One hash serves every account, as no host's would: the
// first sign-in to each replaces it by one of its own.
func importedHash(password string) string {
	p := secret.DefaultParams
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	hash := argon2.IDKey([]byte(password), salt, p.Time, p.Memory, p.Threads, 32)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Time, p.Threads, encode(salt), encode(hash))
}
