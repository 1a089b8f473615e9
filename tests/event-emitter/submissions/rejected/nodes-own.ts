/*
breaks: [5]
why: It is Node’s class under the same name.
ask: What would you have to change in your own class if Node’s got a second argument for once?
*/
import { EventEmitter as Node, on as nodesOn } from 'node:events';

export class EventEmitter extends Node {}

export const on = nodesOn;
