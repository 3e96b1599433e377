// Loops of known work, to tell what counting instructions costs. Every export
// takes nothing, returns nothing, sets its own input, and leaves a value in
// result that depends on all it did.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL(name) __attribute__((export_name(#name))) void name(void)
#define ALONE __attribute__((noinline))

u32 result;

static u32 seed;

static u32 next(void) {
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

// sha256: 1 MiB hashed with SHA-256 (FIPS 180-4).

static const u32 round_constant[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u8 text[1 << 20];

static u32 turn(u32 x, int n) { return x >> n | x << (32 - n); }

static void block(u32 h[8], const u8 *p) {
	u32 w[64], v[8];
	for (int i = 0; i < 16; i++, p += 4)
		w[i] = (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
	for (int i = 16; i < 64; i++) {
		u32 a = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
		u32 b = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
		w[i] = w[i - 16] + a + w[i - 7] + b;
	}
	for (int i = 0; i < 8; i++)
		v[i] = h[i];
	for (int i = 0; i < 64; i++) {
		u32 s1 = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25);
		u32 t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_constant[i] + w[i];
		u32 s0 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22);
		u32 t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		for (int k = 7; k > 0; k--)
			v[k] = v[k - 1];
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		h[i] += v[i];
}

KERNEL(sha256) {
	u32 h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	for (u32 i = 0; i < sizeof text; i++)
		text[i] = i * 7;
	for (u32 i = 0; i < sizeof text; i += 64)
		block(h, text + i);
	u8 last[64] = {0x80};
	last[61] = sizeof text * 8 >> 16 & 255;
	last[60] = (u64)sizeof text * 8 >> 24;
	block(h, last);
	result = h[0] ^ h[7];
}

// matmul: a product of two matrices of 160 by 160 integers.

#define SIDE 160
static u32 ma[SIDE][SIDE], mb[SIDE][SIDE], mc[SIDE][SIDE];

KERNEL(matmul) {
	seed = 1;
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++)
			ma[i][j] = next(), mb[i][j] = next();
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++) {
			u32 sum = 0;
			for (int k = 0; k < SIDE; k++)
				sum += ma[i][k] * mb[k][j];
			mc[i][j] = sum;
		}
	result = 0;
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++)
			result = result * 31 + mc[i][j];
}

// quicksort: 100,000 integers.

#define ITEMS 100000
static u32 item[ITEMS];

ALONE static void sort(int low, int high) {
	while (low < high) {
		u32 pivot = item[(low + high) / 2];
		int i = low - 1, j = high + 1;
		for (;;) {
			do i++; while (item[i] < pivot);
			do j--; while (item[j] > pivot);
			if (i >= j)
				break;
			u32 t = item[i];
			item[i] = item[j];
			item[j] = t;
		}
		sort(low, j);
		low = j + 1;
	}
}

KERNEL(quicksort) {
	seed = 2;
	for (int i = 0; i < ITEMS; i++)
		item[i] = next();
	sort(0, ITEMS - 1);
	result = 0;
	for (int i = 0; i < ITEMS; i++)
		result = result * 31 + item[i];
}

// fib: 832,040 by additions of 1, which is nothing but calls.

ALONE static u32 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

KERNEL(fib) { result = fibonacci(30); }

// vm: a byte code machine in one switch, running a loop of 9 instructions.

enum { SET, ADD, SUB, MUL, XOR, SHIFT, LOAD, STORE, JUMP, STOP };
static const u8 program[] = {
	SET, 0, 0, ADD, 0, 1, MUL, 2, 0, XOR, 2, 1, SHIFT, 2, 3, STORE, 2, 0,
	LOAD, 4, 0, ADD, 5, 4, SUB, 6, 1, JUMP, 6, 3, STOP, 0, 0,
};
static u32 cell[256];

ALONE static u32 machine(u32 turns) {
	u32 r[8] = {0, 1, 7, 5, 0, 0, turns, 0};
	for (u32 pc = 0;; pc += 3) {
		u32 a = program[pc + 1] & 7, b = program[pc + 2] & 7;
		switch (program[pc]) {
		case SET: r[a] = program[pc + 2]; break;
		case ADD: r[a] += r[b]; break;
		case SUB: r[a] -= r[b]; break;
		case MUL: r[a] *= r[b]; break;
		case XOR: r[a] ^= r[b]; break;
		case SHIFT: r[a] = turn(r[a], r[b] & 31 ? r[b] & 31 : 1); break;
		case LOAD: r[a] = cell[r[b] & 255]; break;
		case STORE: cell[r[b] & 255] = r[a]; break;
		case JUMP:
			if (r[a])
				pc = program[pc + 2] - 3;
			break;
		default: return r[5];
		}
	}
}

KERNEL(vm) { result = machine(300000); }

// crc: CRC-32 of 1 MiB by a table, four times over bytes moved in between.

static u32 crc_table[256];

KERNEL(crc) {
	for (u32 i = 0; i < 256; i++) {
		u32 c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
		crc_table[i] = c;
	}
	for (u32 i = 0; i < sizeof text; i++)
		text[i] = i * 13;
	u32 c = ~0u;
	for (int pass = 0; pass < 4; pass++) {
		for (u32 i = 0; i < sizeof text; i++)
			c = crc_table[(c ^ text[i]) & 255] ^ c >> 8;
		__builtin_memmove(text + 1, text, sizeof text - 1);
		text[0] = c;
	}
	result = ~c;
}

// float_matmul: a product of two matrices of 160 by 160 doubles.

static double fa[SIDE][SIDE], fb[SIDE][SIDE];

KERNEL(float_matmul) {
	seed = 3;
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++)
			fa[i][j] = next() * 0x1p-32, fb[i][j] = next() * 0x1p-32;
	double all = 0;
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++) {
			double sum = 0;
			for (int k = 0; k < SIDE; k++)
				sum += fa[i][k] * fb[k][j];
			all += sum;
		}
	result = (u32)(u64)all;
}

// float_orbit: five bodies that pull each other, 20,000 steps.

#define BODIES 5
static double place[BODIES][3], speed[BODIES][3], mass[BODIES];

KERNEL(float_orbit) {
	seed = 4;
	for (int i = 0; i < BODIES; i++) {
		mass[i] = 0.5 + next() * 0x1p-32;
		for (int k = 0; k < 3; k++)
			place[i][k] = 8 * i + next() * 0x1p-30, speed[i][k] = next() * 0x1p-34;
	}
	for (int step = 0; step < 20000; step++) {
		for (int i = 0; i < BODIES; i++)
			for (int j = i + 1; j < BODIES; j++) {
				double d[3], square = 0.01;
				for (int k = 0; k < 3; k++)
					d[k] = place[i][k] - place[j][k], square += d[k] * d[k];
				double pull = 0.001 / (square * __builtin_sqrt(square));
				for (int k = 0; k < 3; k++) {
					speed[i][k] -= d[k] * mass[j] * pull;
					speed[j][k] += d[k] * mass[i] * pull;
				}
			}
		for (int i = 0; i < BODIES; i++)
			for (int k = 0; k < 3; k++)
				place[i][k] += 0.001 * speed[i][k];
	}
	double all = 0;
	for (int i = 0; i < BODIES; i++)
		all += __builtin_fabs(place[i][0]) + __builtin_fabs(place[i][1]) + __builtin_fabs(place[i][2]);
	result = (u32)(u64)(all * 1024);
}
