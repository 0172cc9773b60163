package audit

// What the documents promise to stay as it is.
var (
	EntryHash = entryHash
	Commit    = commit
)
