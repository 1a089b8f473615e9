/*
breaks: [5]
why: This is Node's class under the same name.
ask: What would you have to change if Node's once() got another parameter?
*/
import { EventEmitter as Node, on as nodesOn } from 'node:events';

export class EventEmitter extends Node {}

export const on = nodesOn;
