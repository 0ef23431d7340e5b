import type { GpuReport } from '../worker/protocol.ts';

export interface GpuWords {
  tone: 'wait' | 'good' | 'slow' | 'bad';
  /** One line. */
  line: string;
  /** What to do, step by step; empty where nothing is to be done. */
  help: string[];
}

const VENDORS: Record<string, string> = {
  nvidia: 'NVIDIA',
  amd: 'AMD',
  intel: 'Intel',
  apple: 'Apple',
  qualcomm: 'Qualcomm',
  arm: 'Arm',
};

/** Architectures whose chips share the processor's memory, where a second, faster card is common in laptops. */
const INTEGRATED = /^(gen-|xe|rdna-?\d?-?integrated|gcn-5)/i;

function browserHelp(agent: string, secure: boolean): string[] {
  if (!secure)
    return ['Open the page over https, or from this machine (localhost): browsers show WebGPU nowhere else.'];
  if (/firefox/i.test(agent)) {
    return ['Firefox has WebGPU on Windows and on Apple chips from version 145 on: update it, or use Chrome or Edge.'];
  }
  if (/safari/i.test(agent) && !/chrome|chromium|edg/i.test(agent)) {
    return ['Safari has WebGPU from version 26 on: update macOS, or use Chrome.'];
  }
  if (/android|iphone|ipad/i.test(agent)) {
    return ['Phones and tablets seldom have the memory for training. Open this page on a computer.'];
  }
  if (/linux/i.test(agent) && /chrom/i.test(agent)) {
    return [
      'Open chrome://flags/#enable-unsafe-webgpu, set it to Enabled and restart the browser. On some Linux systems chrome://flags/#enable-vulkan is needed as well.',
      'Or update Chrome: newer versions have WebGPU on without this.',
    ];
  }
  return ['Use Chrome or Edge from version 121 on; both have WebGPU switched on.'];
}

/** The name of the card as well as the browser tells it: "NVIDIA (ampere)". */
export function gpuName(report: GpuReport): string {
  if (report.description !== '') return report.description;
  if (/swiftshader/i.test(report.architecture)) return 'SwiftShader';
  const vendor = VENDORS[report.vendor.toLowerCase()] ?? report.vendor;
  if (vendor === '') return 'A graphics card that does not say its name';
  return report.architecture === '' ? vendor : `${vendor} (${report.architecture})`;
}

/** The state of the graphics card in a sentence, and what to do where it is not as it should be. */
export function describeGpu(report: GpuReport | null, failure: string, lost: string, agent: string): GpuWords {
  if (failure !== '') {
    return { tone: 'bad', line: `The page could not ask for the graphics card. ${failure}`, help: [] };
  }
  if (!report) return { tone: 'wait', line: 'Looking for the graphics card…', help: [] };
  if (lost !== '') {
    return {
      tone: 'bad',
      line: `The graphics card stopped answering (${lost}).`,
      help: [
        'This happens when the driver restarts, the computer slept, or another program took all its memory. Nothing that was kept is lost.',
        'Close games and other pages that use the card, then look again. If it happens often, update the driver.',
      ],
    };
  }
  switch (report.state) {
    case 'no-webgpu':
      return {
        tone: 'bad',
        line: 'This browser does not offer WebGPU, by which the page uses your graphics card.',
        help: browserHelp(agent, report.secure),
      };
    case 'no-adapter':
      return {
        tone: 'bad',
        line: 'WebGPU is there, but no graphics card answered.',
        help: [
          'Turn on hardware acceleration: in the browser’s settings under System, “Use graphics acceleration when available”, then restart the browser.',
          'Update the driver of the graphics card, from the maker’s site rather than the system’s updater.',
          'Open chrome://gpu: the line “WebGPU” says what the browser holds against the card.',
        ],
      };
    case 'failed':
      return {
        tone: 'bad',
        line: report.message || 'The graphics card refused to start.',
        help: [
          'Update the driver of the graphics card and restart the browser.',
          'If the computer has two graphics cards, give the browser the faster one in the system’s graphics settings.',
        ],
      };
    case 'software':
      return {
        tone: 'slow',
        line: `No graphics card: the processor stands in for one (${gpuName(report)}). Everything works, slowly.`,
        help: [
          'The examples take some minutes this way; the voice speaks differently within the first. For larger models turn on hardware acceleration in the browser’s settings, or update the graphics driver.',
        ],
      };
    case 'ready': {
      const f16 = report.hasF16 ? '' : ' Half precision is not offered here; that is fine, only somewhat slower.';
      const integrated = report.vendor === 'intel' || INTEGRATED.test(report.architecture);
      return {
        tone: 'good',
        line: `${gpuName(report)}, ready.${f16}`,
        help: integrated
          ? [
              'If this computer also has a faster card (NVIDIA or AMD): in Windows under Settings, System, Display, Graphics, set the browser to “High performance” and restart it.',
            ]
          : [],
      };
    }
  }
}
