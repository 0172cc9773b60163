package channel

import "github.com/wanbi/wanbi/internal/recovery"

func init() {
	register(code{
		info: recovery.ChannelInfo{
			Name: "sms-code", Factor: recovery.FactorPossession, Strength: 40, Contact: recovery.ContactPhone,
			Failures: []string{"error.code.wrong", "error.code.expired"},
		},
		message: "sms.code",
	})
}
