<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * No connection could be made, or it ended.
 */
final class UnreachableException extends PlasmException
{
}
