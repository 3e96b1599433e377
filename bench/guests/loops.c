// Loops without end, for the clock to stop, and one that ends after a while.

typedef unsigned int u32;

#define LOOP(name) __attribute__((export_name(#name))) void name(void)

__attribute__((import_module("mythos_v1"), import_name("request_len"))) u32 request_len(void);

// spin touches no memory and calls nothing.
LOOP(spin) {
	for (;;)
		__asm__ volatile("");
}

// turns is spin that ends: work for a garbage collection to wait for.
LOOP(turns) {
	for (u32 i = 0; i < 400000000; i++)
		__asm__ volatile("");
}

static char region[48 << 20];

// fill clears 48 MiB at a time with memory.fill.
LOOP(fill) {
	for (;;) {
		__builtin_memset(region, 1, sizeof region);
		__asm__ volatile("" ::"r"(region) : "memory"); // so that it is not left out
	}
}

// ask calls the host and does nothing else.
LOOP(ask) {
	for (;;)
		request_len();
}
