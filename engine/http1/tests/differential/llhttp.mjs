// llhttp's reading of streams of messages: in by frames on stdin, out by lines on stdout.
//
// A frame is `Q length` (requests) or `A method length` (answers to requests of that method),
// a line feed, and so many bytes. What a line says is described in `reading.rs`.

import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const wasm = require('undici/lib/llhttp/llhttp-wasm.js')
const { TYPE } = require('undici/lib/llhttp/constants.js')

// The state of the stream that is being read; there is one at a time.
let stream
const span = (at, length) => Buffer.from(new Uint8Array(parser.memory.buffer, at, length))
const append = (list, at, length) => (list.push(span(at, length)), 0)

const hooks = {
  wasm_on_message_begin: () => {
    stream.message = { url: [], names: [], values: [], body: [] }
    return 0
  },
  wasm_on_url: (_, at, length) => append(stream.message.url, at, length),
  wasm_on_status: () => 0,
  wasm_on_header_field: (_, at, length) => {
    const { names, values } = stream.message
    if (names.length === values.length) names.push(Buffer.alloc(0))
    names[names.length - 1] = Buffer.concat([names.at(-1), span(at, length)])
    return 0
  },
  wasm_on_header_value: (_, at, length) => {
    const { names, values } = stream.message
    if (values.length < names.length) values.push(Buffer.alloc(0))
    values[values.length - 1] = Buffer.concat([values.at(-1), span(at, length)])
    return 0
  },
  wasm_on_headers_complete: () => {
    // Trailers come by the same hooks.
    stream.message.fields = stream.message.values.length
    // One: whatever the fields say, no body follows.
    return stream.asked === 'HEAD' ? 1 : 0
  },
  wasm_on_body: (_, at, length) => append(stream.message.body, at, length),
  wasm_on_message_complete: (p) => {
    stream.words.push(wordsOf(p, stream.message))
    stream.message = undefined
    return 0
  }
}

const module = new WebAssembly.Module(wasm)
const parser = new WebAssembly.Instance(module, { env: hooks }).exports

const hex = (bytes) => bytes.toString('hex') || '-'
const text = (pointer) => {
  const bytes = new Uint8Array(parser.memory.buffer, pointer)
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString('latin1')
}

function wordsOf (p, message) {
  const { names, values, fields } = message
  const lines = values.slice(0, fields).map((value, at) => {
    const name = names[at].toString('latin1').toLowerCase()
    return `${name}:${value.toString('latin1').replace(/^[ \t]+|[ \t]+$/g, '')}\n`
  })
  const first = stream.asked === undefined
    ? [hex(Buffer.from(text(parser.llhttp_method_name(parser.llhttp_get_method(p))))),
       hex(Buffer.concat(message.url))]
    : [String(parser.llhttp_get_status_code(p)), '-']
  return [
    ...first,
    `${parser.llhttp_get_http_major(p)}.${parser.llhttp_get_http_minor(p)}`,
    parser.llhttp_should_keep_alive(p) ? 'keep' : 'close',
    hex(Buffer.from(lines.join(''), 'latin1')),
    hex(Buffer.concat(message.body))
  ].join(',')
}

function read (asked, bytes) {
  stream = { asked, words: [], message: undefined }
  const p = parser.llhttp_alloc(asked === undefined ? TYPE.REQUEST : TYPE.RESPONSE)
  const place = parser.malloc(bytes.length || 1)
  new Uint8Array(parser.memory.buffer, place, bytes.length).set(bytes)
  let status = parser.llhttp_execute(p, place, bytes.length)
  if (status === 0 && asked !== undefined) status = parser.llhttp_finish(p)
  const reason = parser.llhttp_get_error_reason(p)
  const end = status !== 0
    ? `fault:${text(parser.llhttp_errno_name(status))}:${reason ? text(reason) : ''}`
    : stream.message === undefined ? 'whole' : 'partial'
  parser.free(place)
  parser.llhttp_free(p)
  return [...stream.words, end.replaceAll(' ', '_')].join(' ')
}

let pending = Buffer.alloc(0)
for await (const chunk of process.stdin) {
  pending = Buffer.concat([pending, chunk])
  const lines = []
  for (;;) {
    const end = pending.indexOf('\n')
    if (end < 0) break
    const words = pending.subarray(0, end).toString('latin1').split(' ')
    const length = Number(words.at(-1))
    if (pending.length < end + 1 + length) break
    const bytes = pending.subarray(end + 1, end + 1 + length)
    lines.push(read(words[0] === 'A' ? words[1] : undefined, bytes) + '\n')
    pending = pending.subarray(end + 1 + length)
  }
  process.stdout.write(lines.join(''))
}
