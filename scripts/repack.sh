#!/usr/bin/env bash
# Packs demo-001 twice with one key, the second time from a copy elsewhere
# under another umask, time zone and locale, with other file times, and
# compares everything that came out.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch
[ -x bin/mythos ] || build_bin mythos
mythos="$ROOT/bin/mythos"
export MYTHOS_HOME="$SCRATCH/home"

"$mythos" pack packages/demo-001 -o "$SCRATCH/one" --json >"$SCRATCH/one.json"

# The whole source goes along: the package names its module's build by a path
# outside its own folder.
copy="$SCRATCH/a copy/of it"
mkdir -p "$copy"
tar -cf - --exclude=./.git --exclude=./bin --exclude=./dist --exclude=node_modules . | tar -xf - -C "$copy"
find "$copy" -type f -exec touch -t 200102030405.06 {} +
(
	umask 077
	cd "$copy"
	env TZ=Asia/Kathmandu LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8 \
		"$mythos" pack "$copy/packages/demo-001" -o "$SCRATCH/two" --json >"$SCRATCH/two.json"
)

for key in package_id manifest_cid archive_sha256; do
	one=$(json_text "$SCRATCH/one.json" "$key") || one=
	two=$(json_text "$SCRATCH/two.json" "$key") || two=
	[ ${#one} -ge 64 ] || die "pack --json prints no $key: $(cat "$SCRATCH/one.json")"
	[ "$one" = "$two" ] || die "$key differs between two packs: $one and $two"
	say "  $key $one, twice"
done
diff -r "$SCRATCH/one" "$SCRATCH/two" || die "the packed folders differ"
archives=$(find "$SCRATCH/one" -name '*.mythos.tgz' | wc -l)
[ "$archives" -eq 1 ] || die "pack wrote $archives archives, want one"
