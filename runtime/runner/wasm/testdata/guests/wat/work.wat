;; work interprets a small program over its request's payload with a br_table,
;; through call_indirect, deep recursion, growth and the bulk instructions of
;; memories and tables. A start function prepares the tables; the entry is run.
(module
  (import "mythos_v1" "request_len" (func $len (result i32)))
  (import "mythos_v1" "request_read" (func $read (param i32 i32 i32) (result i32)))
  (import "mythos_v1" "response_write" (func $write (param i32 i32) (result i32)))
  (import "mythos_v1" "log" (func $log (param i32 i32 i32)))
  (type $binary (func (param i32 i32) (result i32)))
  (memory (export "memory") 1 8)
  (table $ops 4 64 funcref)
  (table $spare 4 32 funcref)
  (elem $functions func $add $sub $mul $mix)
  (global $count (mut i32) (i32.const 300))
  (global $acc (mut i32) (i32.const 1))
  (start $prepare)

  ;; The head of a response whose payload is BYTES of 16, and the log's text.
  (data (i32.const 0) "\08\03\03\01\06\14mythos.tool.response\03\02\03\c8\01\03\03\05\12\05\10")
  (data (i32.const 64) "worked")
  ;; The program: pairs of an operation and its argument, from address 128.
  (data $program
    "\06\01"  ;; grow by 1 page
    "\01\00\01\02\02\05\01\03\04\c8\05\64\07\00\08\00\01\01\01\05"
    "\03\02"  ;; back to byte 2 while the counter lasts
    "\00\00")

  (func $add (type $binary) (i32.add (local.get 0) (local.get 1)))
  (func $sub (type $binary) (i32.sub (local.get 0) (local.get 1)))
  (func $mul (type $binary) (i32.mul (local.get 0) (i32.or (local.get 1) (i32.const 1))))
  (func $mix (type $binary)
    (i32.xor (i32.extend8_s (local.get 1)) (i32.rotr (local.get 0) (i32.popcnt (local.get 1)))))

  (func $prepare
    (table.init $ops $functions (i32.const 0) (i32.const 0) (i32.const 4))
    (elem.drop $functions)
    (table.copy $spare $ops (i32.const 1) (i32.const 0) (i32.const 3))
    (table.set $spare (i32.const 0) (ref.func $mix))
    (drop (table.grow $ops (ref.func $sub) (i32.const 6)))
    (table.fill $ops (i32.const 4) (table.get $spare (i32.const 0)) (i32.const 2))
    (memory.init $program (i32.const 128) (i32.const 0) (i32.const 26))
    (data.drop $program))

  ;; deep recurses n times with locals that have to live on.
  (func $deep (param $n i32) (param $v i32) (result i32) (local i64 i64 i64 i64 i64 i64 i64 i64)
    (if (result i32) (i32.eqz (local.get $n))
      (then (local.get $v))
      (else
        (local.set 2 (i64.mul (i64.extend_i32_u (local.get $v)) (i64.const 0x9e3779b97f4a7c15)))
        (i32.add
          (i32.wrap_i64 (i64.shr_u (local.get 2) (i64.const 37)))
          (call $deep (i32.sub (local.get $n) (i32.const 1)) (i32.wrap_i64 (i64.shr_u (local.get 2) (i64.const 31))))))))

  ;; floats stores what may be NaN, and gives back a saturated conversion.
  (func $floats (param $v i32) (result i32) (local $f f64)
    (local.set $f (f64.sqrt (f64.convert_i32_s (local.get $v))))
    (f64.store (i32.const 512) (local.get $f))
    (f32.store (i32.const 520) (f32.demote_f64 (f64.div (local.get $f) (f64.convert_i32_s (i32.and (local.get $v) (i32.const 1))))))
    (i32.trunc_sat_f64_s (f64.mul (local.get $f) (f64.const 1e5))))

  ;; interpret runs the program; n is the size of the request at 4096.
  (func $interpret (param $n i32) (local $pc i32) (local $arg i32) (local $v i32)
    (local.set $pc (i32.const 128))
    (loop $next
      (local.set $arg (i32.load8_u offset=1 (local.get $pc)))
      (local.set $v (global.get $acc))
      (block $done
        (block $float (block $recurse (block $grow (block $copy (block $fill
        (block $jump (block $rotate (block $apply (block $halt
          (br_table $halt $apply $rotate $jump $fill $copy $grow $recurse $float $halt
            (i32.load8_u (local.get $pc))))
        ;; halt
        return)
        ;; apply
        (local.set $v (call_indirect $ops (type $binary)
          (local.get $v)
          (i32.load8_u offset=4096 (i32.rem_u (local.get $v) (local.get $n)))
          (local.get $arg)))
        (br $done))
        ;; rotate
        (local.set $v (i32.rotl (local.get $v) (local.get $arg)))
        (br $done))
        ;; jump
        (global.set $count (i32.sub (global.get $count) (i32.const 1)))
        (if (global.get $count)
          (then
            (local.set $pc (i32.add (i32.const 128) (local.get $arg)))
            (br $next)))
        (br $done))
        ;; fill
        (memory.fill
          (i32.add (i32.const 65536) (i32.and (local.get $v) (i32.const 0x7fff)))
          (local.get $v)
          (i32.mul (local.get $arg) (i32.const 4)))
        (br $done))
        ;; copy, overlapping
        (memory.copy
          (i32.add (i32.const 65536) (i32.and (local.get $v) (i32.const 0xfff)))
          (i32.const 65600)
          (i32.mul (local.get $arg) (i32.const 8)))
        (br $done))
        ;; grow; the last attempts go beyond the maximum
        (local.set $v (i32.add (local.get $v) (memory.grow (local.get $arg))))
        (local.set $v (i32.add (local.get $v) (memory.grow (i32.const 100))))
        (br $done))
        ;; recurse
        (local.set $v (call $deep (i32.and (local.get $v) (i32.const 127)) (local.get $v)))
        (br $done))
        ;; float
        (local.set $v (i32.xor (local.get $v) (call $floats (local.get $v)))))
      (global.set $acc (local.get $v))
      (local.set $pc (i32.add (local.get $pc) (i32.const 2)))
      (br $next)))

  ;; fold hashes the second page.
  (func $fold (result i64) (local $at i32) (local $h i64)
    (loop $next
      (local.set $h (i64.mul
        (i64.xor (local.get $h) (i64.load offset=65536 (local.get $at)))
        (i64.const 0x100000001b3)))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 65536))))
    (local.get $h))

  (func (export "run") (local $n i32)
    (local.set $n (call $len))
    (if (i32.gt_u (local.get $n) (i32.const 60000)) (then unreachable))
    (drop (call $read (i32.const 4096) (i32.const 0) (local.get $n)))
    (call $interpret (local.get $n))
    (drop (call $deep (i32.const 1500) (global.get $acc)))
    (i64.store (i32.const 256) (i64.extend_i32_u (global.get $acc)))
    (i64.store (i32.const 264) (call $fold))
    (call $log (i32.const 1) (i32.const 64) (i32.const 6))
    (drop (call $write (i32.const 0) (i32.const 37)))
    (drop (call $write (i32.const 256) (i32.const 16)))))
