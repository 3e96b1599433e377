package postgres

// Pages are the statements that read what has an index of its own.
var Pages = map[string]string{"entry_run": selectPageRun + numbered, "entry_key_n_key": selectPageKey + numbered}
