// The icons, drawn here: 16 pixels, one stroke.
import type { ReactNode } from "react";

function icon(path: ReactNode) {
  return function Icon({ className = "" }: { className?: string }) {
    return (
      <svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" className={`shrink-0 ${className}`}>
        {path}
      </svg>
    );
  };
}

export const CopyIcon = icon(<><rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M10.5 3.500v-.5a1 1 0 0 0-1-1H3.500a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h.5" /></>);
export const CheckIcon = icon(<path d="m3 8.5 3.2 3.200L13 4.8" />);
export const CloseIcon = icon(<path d="m4 4 8 8m0-8-8 8" />);
export const MoreIcon = icon(<path d="M3.5 8h.01M8 8h.01M12.5 8h.01" strokeWidth="2.4" />);
export const ChevronIcon = icon(<path d="m6 3.5 4.5 4.500L6 12.5" />);
export const SunIcon = icon(<><circle cx="8" cy="8" r="2.8" /><path d="M8 1.500v1M8 13.500v1M1.5 8h1M13.5 8h1M3.4 3.400l.7.7M11.9 11.900l.7.7M3.4 12.600l.7-.7M11.9 4.100l.7-.7" /></>);
export const MoonIcon = icon(<path d="M13.5 9.500A6 6 0 0 1 6.5 2.500a6 6 0 1 0 7 7z" />);
export const TerminalIcon = icon(<><rect x="1.5" y="2.5" width="13" height="11" rx="1.5" /><path d="m4.5 6 2 2-2 2M8.5 10.500h3" /></>);
export const DownloadIcon = icon(<path d="M8 2v8m0 0 3-3m-3 3L5 7M2.5 13.500h11" />);
export const HelpIcon = icon(<><circle cx="8" cy="8" r="6.2" /><path d="M6.2 6.200a1.9 1.9 0 1 1 2.6 2c-.5.3-.8.6-.8 1.100M8 11.500h.01" /></>);
export const UpIcon = icon(<path d="m3.5 10 4.5-4.500L12.5 10" />);
export const DownIcon = icon(<path d="m3.5 6 4.5 4.500L12.5 6" />);
export const FollowIcon = icon(<path d="M8 2v9m0 0 3.5-3.500M8 11 4.5 7.500M3 14h10" />);
export const ClockIcon = icon(<><circle cx="8" cy="8" r="6.2" /><path d="M8 4.500V8l2.5 1.5" /></>);
export const FoldIcon = icon(<path d="M2.5 8h11M8 1.500v4m0 0L6 3.500m2 2 2-2M8 14.500v-4m0 0-2 2m2-2 2 2" />);
export const PlusIcon = icon(<path d="M8 3v10M3 8h10" />);
export const MillIcon = icon(<><circle cx="8" cy="6" r="4" /><path d="M8 2v8M4 6h8M5.2 3.200l5.6 5.600M10.8 3.2 5.2 8.800M1.5 13.500c1.1-1 2.2-1 3.3 0s2.2 1 3.2 0 2.2-1 3.2 0 2.2 1 3.3 0" /></>);
export const FolderIcon = icon(<path d="M1.5 4a1 1 0 0 1 1-1h3.200l1.500 1.8h6.300a1 1 0 0 1 1 1V12a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1z" />);
export const FileIcon = icon(<><path d="M3.5 2.500a1 1 0 0 1 1-1h4.700l3.300 3.300v8.700a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1z" /><path d="M9 1.700V5h3.300" /></>);
export const LinkIcon = icon(<path d="M6.700 9.300 9.300 6.7M7 4.600l1.600-1.600a3 3 0 0 1 4.300 4.300L11.3 8.900M9 11.400 7.400 13a3 3 0 0 1-4.300-4.300L4.700 7.100" />);
export const MissIcon = icon(<><circle cx="8" cy="8" r="6.2" strokeDasharray="2.2 2.2" /><path d="M5.500 8h5" /></>);
export const HitIcon = icon(<><circle cx="8" cy="8" r="6.2" /><path d="m5.200 8.200 2 2 3.700-4.200" /></>);
export const StoredIcon = icon(<><path d="M8 2v6.500m0 0 2.500-2.500M8 8.500 5.500 6" /><path d="M2.500 9v3.500a1 1 0 0 0 1 1h9a1 1 0 0 0 1-1V9" /></>);
export const SearchIcon = icon(<><circle cx="7" cy="7" r="4.500" /><path d="m10.400 10.400 3.600 3.600" /></>);
export const FilterIcon = icon(<path d="M2 4h12M4.500 8h7M7 12h2" />);
