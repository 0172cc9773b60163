package audit

import "context"

// What the documents promise to stay as it is.
var (
	EntryHash = entryHash
	Commit    = commit
)

// VerifyPaged is Verify with another number of rows in a page.
func (l *Log) VerifyPaged(ctx context.Context, page int32) (Report, error) {
	return l.verify(ctx, page, nil)
}
