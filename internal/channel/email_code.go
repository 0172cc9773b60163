package channel

import "github.com/wanbi/wanbi/internal/recovery"

func init() {
	register(code{
		info: recovery.ChannelInfo{
			Name: "email-code", Factor: recovery.FactorPossession, Strength: 40, Contact: recovery.ContactEmail,
			Failures: []string{"error.code.wrong", "error.code.expired"},
		},
		message: "mail.code",
	})
}
