// Package policies carries the shipped policy files inside the binary: four
// systems as their public descriptions say they work, and under hardened/ the
// same four as they should.
//
// Trust: these files are part of the program. Whoever runs it may use their own
// instead.
package policies

import "embed"

// Files holds NAME.yaml and hardened/NAME.yaml for yichuangtong, postal-wallet,
// vivo-service-code and wechat-pay. It is an fs.FS.
//
//go:embed *.yaml hardened/*.yaml
var Files embed.FS
