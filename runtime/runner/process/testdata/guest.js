// The modules of the acceptance suite, for node: guest.js BEHAVIOUR.
'use strict'
const fs = require('fs')

const LOG = 'line one\n\x1b[31mred\x07'
const MAX_RESPONSE = 16 << 10

function readExactly (n) {
  const out = Buffer.alloc(n)
  for (let got = 0; got < n;) {
    let k
    try { k = fs.readSync(0, out, got, n - got, null) } catch (e) { if (e.code === 'EOF') return null; throw e }
    if (k === 0) return null
    got += k
  }
  return out
}

function readFrame () {
  let n = 0
  for (let scale = 1; ; scale *= 128) {
    const b = readExactly(1)
    if (b === null) return null
    n += (b[0] & 0x7f) * scale
    if (b[0] < 0x80) return readExactly(n)
  }
}

function varint (n) {
  const out = []
  for (; n >= 128; n = Math.floor(n / 128)) out.push((n % 128) | 0x80)
  return Buffer.from([...out, n])
}

function write (fd, b) {
  b = Buffer.from(b)
  for (let done = 0; done < b.length;) done += fs.writeSync(fd, b, done)
}

function answer (b) { write(1, Buffer.concat([varint(b.length), Buffer.from(b)])) }

function forEver () { setInterval(() => {}, 1e6) }

const half = q => write(1, Buffer.concat([varint(q.length), q.subarray(0, q.length / 2)]))

function count () {
  let n = 1
  for (const path of ['/tmp/count', '/module/count']) {
    try { fs.appendFileSync(path, 'x'); n = Math.max(n, fs.statSync(path).size) } catch {}
  }
  answer([n])
}

function grow () {
  const kept = []
  for (let i = 0; i < 64; i++) kept.push(Buffer.alloc(16 << 20, 1))
  answer([kept.length])
}

function spawn (code) {
  const { spawn } = require('child_process')
  spawn(process.execPath, ['-e', code], { detached: true, stdio: 'inherit' }).unref()
}

const late = "setTimeout(() => require('fs').writeSync(1, '\\x04late'), 200)"

const behaviours = {
  echo: answer,
  log: q => { write(2, LOG); answer(q) },
  chatty: q => { for (let i = 0; i < 100; i++) write(2, LOG); answer(q) },
  garbage: () => answer(Buffer.from('\xff\xfegarbage', 'latin1')),
  nothing: () => {},
  toomuch: () => answer(Buffer.alloc(MAX_RESPONSE + 1, 'x')),
  trap: () => process.abort(),
  loop: () => { for (;;); },
  grow,
  exit: () => process.exit(3),
  random: () => answer(require('crypto').randomBytes(64)),
  count,
  twice: q => { answer(q); answer(q) },
  tail: q => { answer(q); write(1, 'x') },
  early: q => { write(1, [0x80, 0]); answer(q) },
  claim: () => { write(1, varint(4 * 2 ** 30)); forEver() },
  partial: q => { half(q); forEver() },
  broken: half,
  flood: q => { for (let i = 0; i < 128; i++) write(2, Buffer.alloc(65536, 'y')); answer(q) },
  crash: q => { answer(q); process.abort() },
  fail: q => { answer(q); process.exit(3) },
  linger: q => { answer(q); forEver() },
  closed: () => { fs.closeSync(1); forEver() },
  daemon: q => { spawn('setInterval(() => {}, 1e6)'); answer(q) },
  fork: () => spawn(late),
  deaf: () => {
    for (const s of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGUSR2']) process.on(s, () => {})
    forEver()
  }
}

const how = process.argv[2]
if (how === 'unread') answer('unread')
else if (how === 'incoherent') { answer('unread'); readFrame() }
else if (how === 'worker') {
  for (let q = readFrame(); q !== null; q = readFrame()) answer(q)
} else behaviours[how](readFrame())
