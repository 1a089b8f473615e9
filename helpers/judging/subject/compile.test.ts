import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { compile } from './compile.ts';

const standardForms = {
  'a typed standard decorator': `
    function twice<This, Args extends unknown[]>(
      method: (this: This, ...args: Args) => number,
      _context: ClassMethodDecoratorContext,
    ) {
      return function (this: This, ...args: Args) { return 2 * method.apply(this, args); };
    }
    export class Box { @twice value() { return 21; } }`,
  'an untyped standard decorator': `
    const twice = (method: any, context: any) => function (this: any) { return context.kind === 'method' ? 2 * method.call(this) : 0; };
    export class Box { @twice value() { return 21; } }`,
  'a standard decorator of one parameter': `
    function twice(method: any): any { return function (this: any) { return 2 * method.call(this); }; }
    export class Box { @twice value() { return 21; } }`,
  'a factory of standard decorators': `
    function times(factor: number, name: string, _shown = true) {
      return (method: any, context: any): any => function (this: any) { return context.name === name ? factor * method.call(this) : 0; };
    }
    export class Box { @times(2, 'value') value() { return 21; } }`,
  'a standard decorator beside a comment about a PropertyDescriptor': `
    // Not (target, key, descriptor: PropertyDescriptor).
    function twice(method: any, _: any): any { return function (this: any) { return 2 * method.call(this); }; }
    export class Box { @twice value() { return 21; } }`,
};

const legacyForms = {
  'a typed legacy decorator': `
    function twice(_target: object, _key: string, descriptor: PropertyDescriptor) {
      const method = descriptor.value; descriptor.value = function () { return 2 * method.call(this); };
    }
    export class Box { @twice value() { return 21; } }`,
  'an untyped legacy decorator': `
    const twice = (_t: any, _k: any, desc: any) => {
      const method = desc.value; return { ...desc, value() { return 2 * method.call(this); } };
    };
    export class Box { @twice value() { return 21; } }`,
  'a factory of legacy decorators': `
    function times(factor: number) {
      return (_t: any, _k: any, d: any) => {
        const method = d.value; d.value = function () { return factor * method.call(this); };
      };
    }
    export class Box { @times(2) value() { return 21; } }`,
  'a curried factory of legacy decorators': `
    const times = (factor: number) => (_target: any, _key: any, descriptor: any) => {
      const method = descriptor.value; descriptor.value = function () { return factor * method.call(this); };
    };
    export class Box { @times(2) value() { return 21; } }`,
  'a legacy decorator of a property': `
    const factors = new Map<unknown, number>();
    function factor(target: any, key: string) { factors.set(target.constructor.name + key, 2); }
    export class Box { @factor side = 21; value() { return factors.get('Boxside')! * this.side; } }`,
  'a decorator of a parameter': `
    const injected: any = {};
    const Inject = (name: string) => (_target: any, _key: any, index: number) => { injected[index] = name; };
    class Service { constructor(@Inject('side') readonly side = 21) {} }
    export class Box { value() { return injected[0] === 'side' ? 2 * new Service().side : 0; } }`,
};

for (const [what, source] of Object.entries({ ...standardForms, ...legacyForms })) {
  test(`runs ${what}`, async () => {
    const file = join(await testFolder(onTestFinished), 'box.ts');
    await writeFile(file, source);

    const compiled = await compile(file);
    const { Box } = await import(`data:text/javascript,${encodeURIComponent(compiled.source)}`);

    expect(new Box().value()).toBe(42);
  });
}
