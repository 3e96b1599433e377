;; echo answers its request's payload, by the hostcall abi of RFC-MYTHOS-0006
;; section 11.1. The payload's key is at offset 69 of every request; the head of
;; the response ends with the tag of the payload, whose length and bytes are
;; written as they came.
(module
  (import "mythos_v1" "request_len" (func $len (result i32)))
  (import "mythos_v1" "request_read" (func $read (param i32 i32 i32) (result i32)))
  (import "mythos_v1" "response_write" (func $write (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\03\03\01\06\14mythos.tool.response\03\02\03\c8\01\03\03\05")
  (func (export "run") (local $n i32) (local $size i32) (local $at i32) (local $shift i32) (local $b i32)
    (local.set $n (call $len))
    (if (i32.gt_u (local.get $n) (i32.const 0x7fff0000)) (then unreachable))
    (if (i32.eq (i32.const -1) (memory.grow (i32.shr_u (i32.add (local.get $n) (i32.const 128)) (i32.const 16))))
      (then unreachable))
    (drop (call $read (i32.const 128) (i32.const 0) (local.get $n)))
    (local.set $at (i32.const 200))
    (loop $varint
      (local.set $size (i32.or (local.get $size)
        (i32.shl (i32.and (local.tee $b (i32.load8_u (local.get $at))) (i32.const 127)) (local.get $shift))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $shift (i32.add (local.get $shift) (i32.const 7)))
      (br_if $varint (i32.ge_u (local.get $b) (i32.const 128))))
    (drop (call $write (i32.const 0) (i32.const 34)))
    (drop (call $write (i32.const 200)
      (i32.add (local.get $size) (i32.sub (local.get $at) (i32.const 200)))))))
