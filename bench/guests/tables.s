# A loop without end that fills a table of a million references and copies it
# onto itself.

	.tabletype	refs, externref, 1000000, 1000000
refs:

	.globl	_start
	.export_name	_start, _start
_start:
	.functype	_start () -> ()
	loop
	i32.const	0
	ref.null_extern
	i32.const	1000000
	table.fill	refs
	i32.const	1
	i32.const	0
	i32.const	999999
	table.copy	refs, refs
	br	0
	end_loop
	end_function
