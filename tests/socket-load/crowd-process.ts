// A process full of clients; crowd.ts starts it. It reads orders, a line of JSON each, and answers them.
import { createInterface } from 'node:readline';
import { type Socket, io } from 'socket.io-client';
import type { Message } from '../../katas/socket-load/socket-load.ts';

/** A client to be, and the rooms that it joins as a newcomer. */
export interface Guest {
  readonly user: string;
  readonly rooms: readonly string[];
}

/** What clients of these rooms got, and how many of them got exactly this. */
export interface Share {
  readonly rooms: readonly string[];
  readonly messages: readonly Message[];
  readonly clients: number;
}

export type Order = { readonly id: number; readonly crowd: string } & (
  | { readonly act: 'come'; readonly port: number; readonly guests: readonly Guest[] }
  | { readonly act: 'ping' | 'fence' | 'tell' | 'go' }
);

interface Client {
  readonly socket: Socket;
  readonly rooms: readonly string[];
  readonly messages: Message[];
}

const crowds = new Map<string, Client[]>();

async function follow(order: Order): Promise<readonly Share[] | undefined> {
  const clients = crowds.get(order.crowd) ?? [];
  crowds.set(order.crowd, clients);
  if (order.act === 'come') {
    clients.push(...(await Promise.all(order.guests.map((guest) => connect(order.port, guest)))));
  }
  if (order.act === 'fence') await Promise.all(clients.map(({ socket }) => socket.emitWithAck('fence')));
  if (order.act === 'go') for (const { socket } of clients) socket.disconnect();
  return order.act === 'tell' ? sharesOf(clients) : undefined;
}

async function connect(port: number, { user, rooms }: Guest): Promise<Client> {
  const socket = io(`http://127.0.0.1:${port}`, {
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
    auth: { user },
  });
  const messages: Message[] = [];
  socket.on('message', (message: Message) => void messages.push(message));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('connect_error', reject);
  });
  await Promise.all(rooms.map((room) => socket.emitWithAck('join', room, null)));
  return { socket, rooms, messages };
}

function sharesOf(clients: readonly Client[]): Share[] {
  const equal = Map.groupBy(clients, ({ rooms, messages }) => JSON.stringify([rooms, messages]));
  return [...equal.values()].map((some) => {
    const [{ rooms, messages }] = some as [Client];
    return { rooms, messages, clients: some.length };
  });
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line) as Order;
    follow(order).then(
      (answer) => console.log(JSON.stringify({ id: order.id, answer })),
      (error: unknown) => console.log(JSON.stringify({ id: order.id, error: String(error) })),
    );
  })
  .on('close', () => process.exit());
