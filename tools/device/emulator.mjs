// node emulator.mjs KIT FIRMWARE.bin DESCRIPTOR
//
// An RP2040 that runs FIRMWARE.bin. Its USB serial port is this process's standard input and output, its UART0 the
// stream socket that was handed over as DESCRIPTOR; the end of either ends it. KIT is the folder with the emulator
// (node_modules) and with the chip's boot ROM (bootrom.json, an array of words).
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createRequire } from 'node:module';

const [kit, firmware, descriptor] = process.argv.slice(2);
const { ConsoleLogger, LogLevel, Simulator, USBCDC } = createRequire(path.join(kit, 'any.js'))('rp2040js');

const FLASH_START = 0x10000000;
const NANOSECONDS_PER_CYCLE = 8; // 125 MHz
const SERVE_EVERY = 100_000; // nanoseconds of the board's time between two looks at its serial ports
const UART_FIFO = 16;
const USB_FIFO = 256;
const STEPS = 20_000; // of the processor before sockets have their turn
const AHEAD_MOST = 1_000_000; // nanoseconds
const RECEIVE_TIMEOUT = 1 << 6; // bits of the UART's interrupts
const TRANSMIT = 1 << 5;

const simulator = new Simulator();
const chip = simulator.rp2040;
const { clock, core } = chip;
chip.logger = new ConsoleLogger(LogLevel.Error);
chip.loadBootrom(new Uint32Array(JSON.parse(fs.readFileSync(path.join(kit, 'bootrom.json'), 'utf8'))));
chip.flash.set(fs.readFileSync(firmware), 0);
core.PC = FLASH_START;

const end = () => process.exit(0);

// Bytes on their way to the board, taken from the front without moving the rest each time.
class Inbox {
  constructor(stream) {
    this.chunks = [];
    this.at = 0;
    stream.on('data', (chunk) => this.chunks.push(chunk));
    stream.on('error', end);
    stream.on('close', end);
    stream.on('end', end);
  }

  get filled() {
    return this.chunks.length > 0;
  }

  shift() {
    const byte = this.chunks[0][this.at++];
    if (this.at === this.chunks[0].length) {
      this.chunks.shift();
      this.at = 0;
    }
    return byte;
  }
}

// USB serial. What comes before the board has set up its side would be lost.
const usb = new USBCDC(chip.usbCtrl);
const typed = new Inbox(process.stdin);
let usbConnected = false;
usb.onDeviceConnected = () => { usbConnected = true; };
usb.onSerialData = (data) => process.stdout.write(data);
process.stdout.on('error', end);

// UART0. The emulator holds its transmit interrupt up for ever, so that the port's driver never comes out of its
// handler: here it is raised once for each byte sent, and cleared as the driver asks.
const uart = chip.uart[0];
const line = new net.Socket({ fd: Number(descriptor) });
const received = new Inbox(line);
let sent = [];
uart.checkInterrupts = function () {
  this.rp2040.setInterrupt(this.irq, (this.interruptStatus & this.interruptMask) !== 0);
};
const writeRegister = uart.writeUint32.bind(uart);
uart.writeUint32 = (offset, value) => {
  writeRegister(offset, value);
  if (offset === 0) {
    uart.interruptStatus |= TRANSMIT;
    uart.checkInterrupts();
  }
};
uart.onByte = (byte) => sent.push(byte);

function serve() {
  while (usbConnected && typed.filled && usb.txFIFO.itemCount < USB_FIFO) {
    usb.sendSerialByte(typed.shift());
  }
  if (received.filled) {
    // Where the board does not take them, they wait here: the line loses nothing.
    while (received.filled && uart.rxFIFO.itemCount < UART_FIFO) {
      uart.feedByte(received.shift());
    }
    uart.interruptStatus |= RECEIVE_TIMEOUT;
    uart.checkInterrupts();
  }
  if (sent.length) {
    line.write(Buffer.from(sent));
    sent = [];
  }
  alarm.schedule(SERVE_EVERY);
}
const alarm = clock.createAlarm(serve);
alarm.schedule(SERVE_EVERY);

// The board's clock never goes faster than this machine's, or its time-outs would be over before anybody could answer.
// While it computes it goes slower, and what is lost then is not made up for while it sleeps.
const hostNanoseconds = () => Number(process.hrtime.bigint());
let offset = hostNanoseconds() - clock.nanos;
function run() {
  for (let step = 0; step < STEPS; step++) {
    if (!core.waiting) {
      clock.tick(core.executeInstruction() * NANOSECONDS_PER_CYCLE);
    } else if (nanosecondsAhead()) {
      break;
    } else {
      clock.tick(clock.nanosToNextAlarm);
    }
  }
  const pause = nanosecondsAhead();
  if (pause) setTimeout(run, pause / 1e6);
  else setImmediate(run);
}

// Nanoseconds by which the board's clock is ahead, 0 where that is not worth a pause.
function nanosecondsAhead() {
  const ahead = clock.nanos + offset - hostNanoseconds();
  if (ahead < 0) offset -= ahead;
  return ahead > AHEAD_MOST ? ahead : 0;
}
run();
