package policy

import "github.com/wanbi/wanbi/internal/recovery"

// catalogue is what the channels say of themselves, and one that does not exist:
// quiz, to test what is said of knowledge.
var catalogue = map[string]recovery.ChannelInfo{
	"sms-code":    {Name: "sms-code", Factor: recovery.FactorPossession, Strength: 40, Contact: recovery.ContactPhone},
	"email-code":  {Name: "email-code", Factor: recovery.FactorPossession, Strength: 40, Contact: recovery.ContactEmail},
	"email-link":  {Name: "email-link", Factor: recovery.FactorPossession, Strength: 45, Contact: recovery.ContactEmail},
	"backup-code": {Name: "backup-code", Factor: recovery.FactorPossession, Strength: 80},
	"real-name":   {Name: "real-name", Factor: recovery.FactorHelper, Strength: 20, AccountBound: true, Helper: true, Sensitive: true},
	"quiz":        {Name: "quiz", Factor: recovery.FactorKnowledge, Strength: 25, AccountBound: true},
}
