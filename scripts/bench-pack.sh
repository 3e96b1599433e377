#!/usr/bin/env bash
# Packing and unpacking a package of 1 GiB against tar and sha256sum, in rounds in
# which every contender runs once. All end with their output synced. Prints the medians
# and records them in bench/pack.md. TMPDIR decides which disk is measured.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -eq 0 ] || die "usage: bench-pack.sh"
rounds="${MYTHOS_BENCH_ROUNDS:-5}"
mib="${MYTHOS_BENCH_MIB:-1024}"
[ "$rounds" -gt 1 ] && [ "$mib" -ge 4 ] || die "MYTHOS_BENCH_ROUNDS must be at least 2, MYTHOS_BENCH_MIB at least 4"
scratch
load=$(cut -d' ' -f1-3 /proc/loadavg)
go_pure build -trimpath -o "$SCRATCH/mythos" ./runtime/cmd/mythos
cd "$SCRATCH"
export MYTHOS_HOME="$SCRATCH/home"

# The source: four documents of random bytes, in the page cache.
mkdir src
cat >src/main.mir <<'IR'
const one = u64 1
func main() -> any {
  const one, r0
  ret r0
}
task main = main() budget cpu_us=50000 io=10 writes=0
IR
for i in 1 2 3 4; do head -c "$((mib / 4))M" /dev/urandom >"src/$i.bin"; done
cat >src/manifest.src.json <<'JSON'
{"name": "big", "version": "1.0.0", "ir": [{"name": "main", "path": "main.mir"}],
 "entrypoints": [{"name": "main", "ir": "main"}], "docs": ["1.bin", "2.bin", "3.bin", "4.bin"]}
JSON
./mythos pack src -o packed >/dev/null
sync

pack() { ./mythos pack src -o out >/dev/null; }
archive() { ./mythos unpack packed/big-1.0.0 -o out --archive >/dev/null; }
unpack() { ./mythos unpack packed/big-1.0.0.mythos.tgz -o out >/dev/null; }
tar_sum() {
	mkdir out
	tar -cf out/x.tar src
	sync out/x.tar
	sha256sum out/x.tar >out/x.sum
}
copy_tar_sum() {
	mkdir out
	cp -r src out/src
	(cd out/src && sha256sum ./* >../src.sum)
	sync out/src/*
	tar -cf out/x.tar src
	sync out/x.tar
	sha256sum out/x.tar >out/x.sum
}
sum_untar() {
	mkdir out
	sha256sum src.tar >out/x.sum
	tar -xf src.tar -C out
	sync out/src/*
}
tar -cf src.tar src
sync

contenders=(tar_sum pack copy_tar_sum archive sum_untar unpack)
# measure NAME appends the seconds that a contender takes to its file.
measure() {
	local start end
	rm -rf out
	sync
	start=${EPOCHREALTIME/./}
	"$1"
	end=${EPOCHREALTIME/./}
	echo $((end - start)) >>"$1.us"
}
for _ in $(seq "$rounds"); do
	for c in "${contenders[@]}"; do measure "$c"; done
done

median() { sort -n "$1.us" | awk '{a[NR] = $1} END {print (NR % 2) ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2}'; }
# line WHAT OURS PEER WANTED
line() {
	awk -v what="$1" -v ours="$(median "$2")" -v peer="$(median "$3")" -v mib="$mib" -v wanted="$4" 'BEGIN {
		printf "%-58s %7.0f MiB/s, peer %7.0f MiB/s, %.2f of it%s\n", what, mib * 1e6 / ours, mib * 1e6 / peer, peer / ours, wanted }'
}
{
	line "archive a folder, against tar and sha256sum" archive tar_sum " (wanted 0.8)"
	line "unpack an archive, against sha256sum and tar" unpack sum_untar " (wanted 0.8)"
	line "pack a source into both forms, against tar and sha256sum" pack tar_sum ""
	line "the same against cp, sha256sum, tar and sha256sum" pack copy_tar_sum " (wanted 0.8)"
} | tee figures

processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
{
	say "# Packing against tar and sha256sum"
	say
	say "\`make bench\` (scripts/bench-pack.sh) on $(date -u +%Y-%m-%dT%H:%MZ), $(uname -srm), ${processor:-processor unknown}, $(stat -f -c %T "${TMPDIR:-/tmp}"), load average at the start $load."
	say "Medians of $rounds rounds over $mib MiB of random bytes in four files, in the page cache; in each round every"
	say "contender runs once, and all end with their files synced. \`mythos pack\` reads the source, writes the folder form"
	say "and the archive, and opens and verifies both again, hash by hash; its peer of the same output copies the folder,"
	say "sums its files, archives it and sums the archive, and verifies nothing."
	say
	say '```'
	cat figures
	say '```'
} >"$ROOT/bench/pack.md"
